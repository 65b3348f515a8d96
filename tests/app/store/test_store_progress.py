"""Progress counts, and how long they and the queue take with 100,000 annotations."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
from sample_project import image_ids, rectangle, sample_project
from sqlalchemy import text

from app.store.acts import Create, Delete, Update, commit
from app.store.annotations import annotations_of
from app.store.database import Database
from app.store.progress import ClassProgress, progress
from app.store.projects import Project, categories
from app.store.queue import Order, next_image, set_reviewed
from app.store.records import State
from app.store.undo import undo


def act(project: Project, photo: int, k: int, actor: str, kind: str, **values: Any) -> None:
    one = annotations_of(project, photo)[k]
    commit(project, [Update(one.id, one.version, values)], actor=actor, kind=kind, image_id=photo)


def test_an_untouched_project(database: Database) -> None:
    project = sample_project(database, photos=3, boxes=2)
    sample_project(database, name="other", photos=9)
    found = progress(project)
    assert (found.images, found.images_done, found.annotators) == (3, 0, ())
    assert found.states == {State.PROPOSED: 6, State.ACCEPTED: 0, State.REJECTED: 0, State.NEEDS_WORK: 0}
    assert [(c.name, c.states[State.PROPOSED]) for c in found.classes] == [("cat", 3), ("dog", 3)]


def test_every_act_counts_where_it_should(database: Database) -> None:
    project = sample_project(database, photos=4, boxes=2)
    photos = image_ids(project)
    cat, dog = categories(project)
    act(project, photos[0], 0, "ann", "accept", state="accepted")
    act(project, photos[0], 1, "ann", "reject", state="rejected")
    act(project, photos[1], 0, "bob", "needs work", state="needs work")
    act(project, photos[1], 1, "bob", "accept", state="accepted")
    act(project, photos[1], 1, "ann", "brush", mask=rectangle(1, 1, 9, 9))
    act(project, photos[2], 0, "convert-boxes", "convert run", mask=rectangle(1, 1, 9, 9))
    act(project, photos[2], 1, "cleo", "update", category_id=None)
    act(project, photos[2], 1, "cleo", "update", simplify=2.0)
    undo(project, actor="cleo")
    one = annotations_of(project, photos[3])[0]
    new = Create({"box": (1, 1, 2, 2), "category_id": cat.id, "state": "accepted"})
    commit(project, [Delete(one.id, 1), new], actor="bob", kind="draw", image_id=photos[3])
    found = progress(project)
    assert found.states == {State.PROPOSED: 3, State.ACCEPTED: 3, State.REJECTED: 1, State.NEEDS_WORK: 1}
    people = [(p.name, p.accepted, p.rejected, p.needs_work, p.edited) for p in found.annotators]
    assert people == [("ann", 2, 1, 0, 1), ("bob", 1, 0, 1, 1), ("cleo", 0, 0, 0, 1)]
    none = dict.fromkeys(State, 0)
    assert found.classes == (
        ClassProgress(cat.id, "cat", {**none, State.ACCEPTED: 2, State.PROPOSED: 1, State.NEEDS_WORK: 1}),
        ClassProgress(dog.id, "dog", {**none, State.REJECTED: 1, State.ACCEPTED: 1, State.PROPOSED: 1}),
        ClassProgress(None, "unknown class", {**none, State.PROPOSED: 1}),
    )


def test_photos_are_done_when_the_queue_has_no_use_for_them(database: Database) -> None:
    project = sample_project(database, photos=3, boxes=1)
    bare = sample_project(database, name="bare", photos=2, boxes=0)
    photos = image_ids(project)
    act(project, photos[0], 0, "ann", "accept", state="accepted")
    assert progress(project).images_done == 1
    set_reviewed(project, photos[1], actor="ann", reviewed=True)
    assert progress(project).images_done == 2
    one = annotations_of(project, photos[2])[0]
    commit(project, [Delete(one.id, 1)], actor="ann", kind="delete", image_id=photos[2])
    assert progress(project).images_done == 2, "a photo without annotations has to be looked at"
    assert progress(bare).images_done == 0
    while (photo := next_image(project, actor="ann")) is not None:
        set_reviewed(project, photo.id, actor="ann", reviewed=True)
    assert progress(project).images_done == 3


def seconds(call: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return median(times)


@pytest.mark.slow
def test_a_hundred_thousand_annotations(
    database: Database, kind: str, record_property: Callable[[str, object], None]
) -> None:
    """Reports how long things take (``pytest -s``, and the JUnit file); machines differ, so it asserts results only."""
    project = sample_project(database, photos=10_000, boxes=1, classes=[f"class {k}" for k in range(80)])
    same = "project_id, image_id, version, state, author, source, x0, y0, x1, y1, created_at, updated_at, review_rank"
    with database.writing() as session:
        copies = " UNION ALL ".join(f"SELECT {k} AS k" for k in range(1, 10))
        session.execute(
            text(
                f"INSERT INTO annotations ({same}, category_id, position) SELECT {same}, category_id + k,"
                f" position + 10000 * k FROM annotations CROSS JOIN ({copies}) AS copies"
            )
        )
        session.execute(text("UPDATE annotations SET state = 'accepted', author = 'ann' WHERE id % 30 < 20"))
    times = {
        f"next {order}": seconds(lambda order=order: next_image(project, actor="ann", order=order))  # type: ignore[misc]
        for order in Order
    }
    times["progress"] = seconds(lambda: progress(project))
    for what, taken in times.items():
        record_property(f"{what}, {kind}, milliseconds", round(taken * 1000, 1))
        print(f"{what} on {kind}: {taken * 1000:.1f} ms")
    found = progress(project)
    assert sum(found.states.values()) == sum(sum(c.states.values()) for c in found.classes) == 100_000
    with database.reading() as session:
        accepted = session.scalar(text("SELECT count(*) FROM annotations WHERE author = 'ann'"))
        pending = session.scalar(text("SELECT count(DISTINCT image_id) FROM annotations WHERE state = 'proposed'"))
    assert found.states[State.ACCEPTED] == found.annotators[0].accepted == accepted
    assert found.images - found.images_done == pending
    assert 0 < found.images_done < found.images
