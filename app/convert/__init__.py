"""Boxes to masks over a whole COCO file: plan, label into a journal, write.

Data goes one way: ``plan`` reads, ``run`` fills the journal photo by photo, ``ledger`` counts what is in it,
``write`` makes the output. Killed at any moment, a run with the same settings goes on where the journal ends,
and the output has the same bytes.
"""

from __future__ import annotations

from app.convert.conversion import check, convert
from app.convert.settings import Settings

__all__ = ["Settings", "check", "convert"]
