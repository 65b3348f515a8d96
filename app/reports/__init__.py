"""Pages for people: what a conversion made, worst first."""

from __future__ import annotations

from app.reports.build import write_report

__all__ = ["write_report"]
