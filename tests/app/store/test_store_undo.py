"""Undo and redo from the log: chains, other people's changes, restarts, and random sequences of acts."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_project import image_ids, rectangle, sample_project

from app.store.acts import Create, Delete, Update, commit
from app.store.annotations import annotation, annotations_of, history
from app.store.database import Database, open_database
from app.store.errors import Conflict, Leased, NothingToUndo
from app.store.leases import claim
from app.store.projects import Project, open_project
from app.store.queue import set_reviewed
from app.store.records import AnnotationRecord, State
from app.store.undo import redo, undo


def change(project: Project, number: int, actor: str = "ann", kind: str = "update", **values: Any) -> AnnotationRecord:
    seen = annotation(project, number)
    made = [Update(number, seen.version, values)]
    return commit(project, made, actor=actor, kind=kind, image_id=seen.image_id).annotations[0]


def content(project: Project) -> list[tuple[Any, ...]]:
    """Everything that annotators see, without version and time."""
    seen = []
    for photo in image_ids(project):
        for a in annotations_of(project, photo):
            mask = None if a.mask is None else a.mask["counts"]
            shape = (a.box, mask, a.form, a.simplify)
            seen.append((a.id, a.image_id, a.category_id, *shape, a.quality, a.source, a.state, a.iscrowd, a.author))
    return seen


def test_undo_gives_back_what_was_and_redo_what_was_done(database: Database) -> None:
    project = sample_project(database)
    photo = image_ids(project)[0]
    one, two = annotations_of(project, photo)
    original = content(project)
    done = commit(
        project,
        [
            Update(one.id, 1, {"state": "accepted", "mask": rectangle(1, 2, 5, 8), "quality": 0.5}),
            Delete(two.id, 1),
            Create({"box": (1, 1, 9, 9), "category_id": one.category_id}),
        ],
        actor="ann",
        kind="brush",
        image_id=photo,
    )
    final = content(project)
    taken = undo(project, actor="ann")
    assert content(project) == original
    assert (taken.kind, taken.undone, taken.image_id) == ("undo", "brush", photo)
    assert [a.id for a in taken.annotations] == [a.id for a in done.annotations]
    assert [a.deleted for a in taken.annotations] == [False, False, True]
    brought = redo(project, actor="ann")
    assert content(project) == final
    assert (brought.kind, brought.undone, brought.image_id) == ("redo", "brush", photo)
    assert [h.kind for h in history(project, one.id)] == ["brush", "undo", "redo"]
    assert annotation(project, one.id).version == 4


def test_chains_go_back_and_forth_in_order(database: Database) -> None:
    project = sample_project(database, photos=1, boxes=1)
    number = annotations_of(project, image_ids(project)[0])[0].id

    def quality() -> float | None:
        return annotation(project, number).quality

    for k in (1, 2, 3):
        change(project, number, quality=k / 10)
    for _ in range(2):
        walk = []
        for step in (undo, undo, redo, undo, undo):
            step(project, actor="ann")
            walk.append(quality())
        assert walk == [0.2, 0.1, 0.2, 0.1, None]
        with pytest.raises(NothingToUndo, match="nothing left to undo"):
            undo(project, actor="ann")
        for expected in (0.1, 0.2, 0.3):
            redo(project, actor="ann")
            assert quality() == expected
        with pytest.raises(NothingToUndo, match="nothing left to redo"):
            redo(project, actor="ann")


def test_a_new_act_ends_what_can_be_redone(database: Database) -> None:
    project = sample_project(database, photos=1, boxes=1)
    number = annotations_of(project, image_ids(project)[0])[0].id
    change(project, number, quality=0.1)
    undo(project, actor="ann")
    change(project, number, quality=0.2)
    with pytest.raises(NothingToUndo):
        redo(project, actor="ann")
    undo(project, actor="ann")
    assert annotation(project, number).quality is None
    with pytest.raises(NothingToUndo):
        undo(project, actor="ann")


def test_everyone_undoes_their_own(database: Database) -> None:
    project = sample_project(database, photos=1, boxes=2)
    one, two = (a.id for a in annotations_of(project, image_ids(project)[0]))
    change(project, one, actor="ann", state="accepted")
    change(project, two, actor="bob", state="rejected")
    undo(project, actor="ann")
    assert (annotation(project, one).state, annotation(project, two).state) == (State.PROPOSED, State.REJECTED)
    with pytest.raises(NothingToUndo):
        undo(project, actor="ann")
    with pytest.raises(NothingToUndo):
        undo(project, actor="cleo")
    other = sample_project(database, name="other")
    with pytest.raises(NothingToUndo):
        undo(other, actor="bob")


def test_what_somebody_else_changed_since_is_not_undone(database: Database) -> None:
    project = sample_project(database, photos=1, boxes=2)
    photo = image_ids(project)[0]
    one, two = annotations_of(project, photo)
    accept = [Update(a.id, a.version, {"state": "accepted"}) for a in (one, two)]
    commit(project, accept, actor="ann", kind="accept", image_id=photo)
    change(project, two.id, actor="bob", state="needs work")
    with pytest.raises(Conflict, match="bob changed annotation") as caught:
        undo(project, actor="ann")
    assert caught.value.theirs == annotation(project, two.id)
    assert annotation(project, one.id).state is State.ACCEPTED, "half an undo"
    undo(project, actor="bob")
    undo(project, actor="ann")
    change(project, one.id, actor="bob", quality=0.5)
    with pytest.raises(Conflict):
        redo(project, actor="ann")


def test_undo_respects_who_works_on_the_photo(database: Database) -> None:
    project = sample_project(database, photos=1, boxes=1)
    photo = image_ids(project)[0]
    number = annotations_of(project, photo)[0].id
    change(project, number, state="accepted")
    claim(project, photo, actor="bob", now=lambda: 1000.0)
    with pytest.raises(Leased):
        undo(project, actor="ann", now=lambda: 1001.0)
    undo(project, actor="ann", now=lambda: 2000.0)


def test_imports_and_conversions_stay(database: Database) -> None:
    project = sample_project(database, photos=1, boxes=1)
    photo = image_ids(project)[0]
    number = annotations_of(project, photo)[0].id
    change(project, number, kind="convert run", mask=rectangle(1, 2, 5, 8))
    change(project, number, state="accepted")
    set_reviewed(project, photo, actor="ann", reviewed=True)
    undo(project, actor="ann")
    assert annotation(project, number).mask is not None
    with pytest.raises(NothingToUndo):
        undo(project, actor="ann")
    redo(project, actor="ann")
    assert annotation(project, number).state is State.ACCEPTED


def test_undo_works_after_a_restart(database: Database, database_url: str) -> None:
    project = sample_project(database, photos=1, boxes=1)
    number = annotations_of(project, image_ids(project)[0])[0].id
    change(project, number, quality=0.1)
    change(project, number, quality=0.2)
    database.close()
    for step, expected in ((undo, 0.1), (undo, None), (redo, 0.1), (redo, 0.2)):
        again = open_database(database_url)
        step(open_project(again), actor="ann")
        assert annotation(open_project(again), number).quality == expected
        again.close()


def test_two_windows_never_undo_the_same_act(database: Database) -> None:
    project = sample_project(database, photos=4, boxes=1)
    ids = [annotations_of(project, photo)[0].id for photo in image_ids(project)]
    for number in ids:
        for _ in range(3):
            change(project, number, state="accepted")
    taken: list[int] = []
    failures: list[BaseException] = []

    def take_back() -> None:
        try:
            while True:
                taken.append(undo(project, actor="ann").act_id)
        except NothingToUndo:
            pass
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=take_back) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(taken) == len(set(taken)) == 12
    assert all(annotation(project, number).state is State.PROPOSED for number in ids)


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(list(State)),
        "quality": st.none() | st.floats(0, 1),
        "box": st.tuples(*(st.floats(0, 15), st.floats(0, 15), st.floats(16, 30), st.floats(16, 30))),
        "mask": st.builds(rectangle, *(st.integers(0, 9), st.integers(0, 9), st.integers(10, 30), st.integers(10, 30))),
        "form": st.sampled_from(["auto", "polygon", "rle"]),
        "simplify": st.floats(0, 5),
        "iscrowd": st.booleans(),
        "source": st.sampled_from(["human", "model:nano"]),
    },
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["create", "update", "delete", "several"]), st.integers(0, 99), VALUES), max_size=8
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, detours=st.lists(st.integers(0, 8), max_size=3))
def test_undo_all_then_redo_all(
    database: Database, steps: list[tuple[str, int, dict[str, Any]]], detours: list[int]
) -> None:
    name = f"sample {threading.get_native_id()} {len(open_projects(database))}"
    project = sample_project(database, photos=2, boxes=2, name=name)
    photos = image_ids(project)
    original = content(project)
    acts = 0
    for kind, pick, values in steps:
        photo = photos[pick % 2]
        live = annotations_of(project, photo)
        made: list[Any] = []
        if kind in ("create", "several"):
            made.append(Create({"box": (1, 2, 3, 4), **values}))
        if live and kind in ("update", "several"):
            made.append(Update(live[pick % len(live)].id, live[pick % len(live)].version, values))
        if live and kind == "delete":
            made.append(Delete(live[pick % len(live)].id, live[pick % len(live)].version))
        if made:
            commit(project, made, actor="ann", kind=kind, image_id=photo)
            acts += 1
    final = content(project)
    for length in [*detours, acts]:
        back = min(length, acts)
        for _ in range(back):
            undo(project, actor="ann")
        if back == acts:
            assert content(project) == original
        for _ in range(back):
            redo(project, actor="ann")
        assert content(project) == final


def open_projects(database: Database) -> list[str]:
    from app.store.projects import projects

    return [record.name for record in projects(database)]
