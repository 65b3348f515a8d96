"""Model runs."""

from __future__ import annotations

import pytest
from sample_project import sample_project

from app.store.database import Database
from app.store.errors import NotFound
from app.store.records import ModelRunRecord
from app.store.runs import begin_run, finish_run, runs


def test_runs_are_remembered_in_order(database: Database) -> None:
    project = sample_project(database)
    other = sample_project(database, name="other")
    settings = {"size": 640, "redo": False, "prompts": ["cat"]}
    first = begin_run(project, labeler="nano", version="1", settings=settings, now=lambda: 10.0)
    second = begin_run(project, labeler="grabcut", version="2", settings={}, now=lambda: 20.0)
    finish_run(project, first, photos=3, annotations=7, now=lambda: 30.0)
    assert runs(project) == [
        ModelRunRecord(first, "nano", "1", settings, 10.0, 30.0, 3, 7),
        ModelRunRecord(second, "grabcut", "2", {}, 20.0, None, 0, 0),
    ]
    assert runs(other) == []
    for number in (first, 10**30):
        with pytest.raises(NotFound):
            finish_run(other, number, photos=1, annotations=1)
    assert runs(project)[0].photos == 3
