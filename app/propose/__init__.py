"""``openseed-label propose``: objects and regions that nobody has drawn, and names for boxes that lack one.

The way of a run: ``sources`` lists the photos, ``ask`` puts them to the labeler, ``result`` is what is remembered of
each (in the journal), ``write`` makes the files of it, ``summary`` says what was done. ``names`` is the other half,
``--for-boxes``.
"""

from __future__ import annotations

from app.propose.names import name_boxes
from app.propose.proposing import propose
from app.propose.settings import TASKS, Settings

__all__ = ["TASKS", "Settings", "name_boxes", "propose"]
