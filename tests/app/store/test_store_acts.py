"""The one write path: versions, leases, checks, all or nothing, many writers at once."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_project import HEIGHT, WIDTH, image_ids, rectangle, sample_project
from sqlalchemy import func, select, text

from app.store.acts import Change, Create, Delete, Update, commit
from app.store.annotations import annotation, annotations_of, history
from app.store.database import Database, open_database
from app.store.errors import Conflict, Leased, NotFound, StoreError
from app.store.projects import Project, add_category, open_project
from app.store.queue import claim
from app.store.records import State
from app.store.schema import ActRow, AnnotationRow, EventRow

ROOT = Path(__file__).parents[3]


def act(project: Project, image_id: int | None, *changes: Change, actor: str = "ann", kind: str = "update") -> Any:
    return commit(project, changes, actor=actor, kind=kind, image_id=image_id)


def counts(project: Project) -> tuple[int, int, int]:
    """How many annotations, acts and events there are."""
    with project.database.reading() as session:
        found = [session.scalar(select(func.count()).select_from(row)) for row in (AnnotationRow, ActRow, EventRow)]
    return found[0] or 0, found[1] or 0, found[2] or 0


def test_a_change_is_there_with_author_version_and_event(database: Database) -> None:
    project = sample_project(database)
    photo = image_ids(project)[0]
    before = annotations_of(project, photo)[0]
    mask = rectangle(1, 2, 5, 8)
    values = {"mask": mask, "quality": 0.75, "source": "model:nano", "state": "accepted"}
    done = commit(project, [Update(before.id, 1, values)], actor="ann", kind="mask", image_id=photo, now=lambda: 12.5)
    after = annotation(project, before.id)
    assert done.annotations == (after,)
    assert (after.mask, after.quality, after.source, after.state) == (mask, 0.75, "model:nano", State.ACCEPTED)
    assert (after.author, after.version, after.updated_at) == ("ann", 2, 12.5)
    assert (after.box, after.category_id) == (before.box, before.category_id)
    [event] = history(project, before.id)
    assert (event.act_id, event.actor, event.kind, event.at) == (done.act_id, "ann", "mask", 12.5)
    assert event.before is not None
    assert (event.before.state, event.before.mask, event.before.author) == (State.PROPOSED, None, "import")
    assert (event.after.state, event.after.mask, event.after.author) == (State.ACCEPTED, mask, "ann")
    assert (event.after.box_changed, event.after.mask_changed, event.after.category_changed) == (False, True, False)


def test_what_differs_from_the_import_is_noted(database: Database) -> None:
    project = sample_project(database)
    photo = image_ids(project)[0]
    first = annotations_of(project, photo)[0]
    dog = annotations_of(project, photo)[1].category_id
    act(project, photo, Update(first.id, 1, {"box": first.box, "category_id": first.category_id, "state": "accepted"}))
    act(project, photo, Update(first.id, 2, {"box": (0, 0, 9.5, 9)}))
    act(project, photo, Update(first.id, 3, {"category_id": dog}))
    act(project, photo, Update(first.id, 4, {"form": "polygon", "simplify": 2}))
    flags = [(e.after.box_changed, e.after.category_changed, e.after.mask_changed) for e in history(project, first.id)]
    assert flags == [(False, False, False), (True, False, False), (True, True, False), (True, True, True)]


def test_several_changes_are_one_act(database: Database) -> None:
    project = sample_project(database)
    photo = image_ids(project)[1]
    one, two = annotations_of(project, photo)
    new = {"box": (3, 4, 20, 21), "category_id": one.category_id}
    done = act(project, photo, Delete(two.id, 1), Create(new), Update(one.id, 1, {"state": "rejected"}), Create(new))
    assert [a.deleted for a in done.annotations] == [True, False, False, False]
    assert done.annotations[1].source == "human"
    assert done.annotations[1].state is State.PROPOSED
    assert done.annotations[2].state is State.REJECTED
    assert [a.id for a in annotations_of(project, photo)] == [one.id, done.annotations[1].id, done.annotations[3].id]
    assert [a.id for a in annotations_of(project, photo, deleted=True)][:2] == [one.id, two.id]
    with database.reading() as session:
        events = session.scalars(select(EventRow).where(EventRow.act_id == done.act_id)).all()
    assert len(events) == 4
    assert sum(event.before is None for event in events) == 2


def test_the_second_to_save_gets_a_conflict_with_what_the_first_saved(database: Database) -> None:
    project = sample_project(database)
    photo = image_ids(project)[0]
    mine = annotations_of(project, photo)[0]
    act(project, photo, Update(mine.id, mine.version, {"state": "accepted"}), actor="ann")
    before = counts(project)
    with pytest.raises(Conflict, match="ann changed annotation") as caught:
        act(project, photo, Update(mine.id, mine.version, {"state": "rejected"}), actor="bob")
    assert caught.value.annotation_id == mine.id
    assert caught.value.theirs == annotation(project, mine.id)
    assert caught.value.theirs.state is State.ACCEPTED
    assert counts(project) == before
    act(project, photo, Delete(mine.id, 2), actor="ann")
    with pytest.raises(Conflict, match="ann deleted annotation") as caught:
        act(project, photo, Update(mine.id, 3, {"state": "rejected"}), actor="bob")
    assert caught.value.theirs.deleted


def test_one_bad_change_undoes_the_others(database: Database) -> None:
    project = sample_project(database)
    photo = image_ids(project)[0]
    one, two = annotations_of(project, photo)
    before = counts(project)
    box = {"box": (1, 1, 2, 2), "category_id": one.category_id}
    with pytest.raises(Conflict):
        act(project, photo, Create(box), Update(one.id, 1, {"state": "accepted"}), Delete(two.id, 99))
    with pytest.raises(StoreError, match="no area"):
        act(project, photo, Update(one.id, 1, {"state": "accepted"}), Create({"box": (1, 1, 1, 2)}))
    assert counts(project) == before
    assert annotations_of(project, photo) == [one, two]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"box": "abcd"}, "four numbers"),
    ({"box": (1, 2, 3)}, "four numbers"),
    ({"box": (5, 2, 3, 8)}, "no area"),
    ({"box": (math.nan, 2, 3, 8)}, "not finite"),
    ({"box": (1, 2, math.inf, 8)}, "not finite"),
    ({"box": (1, 2, 10**400, 8)}, "four numbers"),
    ({"box": (WIDTH, 2, WIDTH + 5, 8)}, "outside"),
    ({"box": None}, "a box or a mask"),
    ({"state": "done"}, "use one of proposed"),
    ({"state": 3}, "use one of proposed"),
    ({"form": "bitmap"}, "use one of auto"),
    ({"simplify": -1}, "simplify is -1"),
    ({"simplify": "2"}, "give a number"),
    ({"quality": 1.5}, "from 0 to 1"),
    ({"quality": math.nan}, "not finite"),
    ({"quality": True}, "give a number"),
    ({"source": "somewhere"}, "model:<name>"),
    ({"source": "model:a\nb"}, "printable"),
    ({"iscrowd": 1}, "true or false"),
    ({"category_id": 10**12}, "no class"),
    ({"category_id": "1"}, "no class"),
    ({"mask": "abc"}, "must be an RLE"),
    ({"mask": {"size": [WIDTH, HEIGHT], "counts": rectangle(1, 1, 2, 2)["counts"]}}, "RLE size"),
    ({"mask": {"size": [HEIGHT, WIDTH], "counts": b"01"}}, "add up"),
    ({"mask": {"size": [HEIGHT, WIDTH], "counts": "\u20ac\x00"}}, "no compressed RLE"),
    ({"mask": {"size": 7, "counts": b"01"}}, "can't be read"),
    ({"mask": rectangle(1, 1, 1, 1)}, "no pixel"),
    ({"author": "bob"}, "no 'author' to set"),
]


def test_bad_values_are_refused(database: Database) -> None:
    project = sample_project(database, photos=1, boxes=1)
    [photo] = image_ids(project)
    [one] = annotations_of(project, photo)
    for given, message in BAD:
        for change in (Update(one.id, 1, given), Create({"box": (1, 1, 2, 2), **given})):
            with pytest.raises(StoreError, match=message):
                act(project, photo, change)
    assert annotations_of(project, photo) == [one]


def test_bad_acts_are_refused(database: Database) -> None:
    project = sample_project(database)
    photo, other = image_ids(project)[:2]
    one = annotations_of(project, photo)[0]
    update = Update(one.id, 1, {"state": "accepted"})
    bad: list[tuple[Callable[[], Any], str]] = [
        (lambda: act(project, photo), "at least one"),
        (lambda: act(project, photo, update, Delete(one.id, 1)), "each of them once"),
        (lambda: act(project, None, Create({"box": (1, 1, 2, 2)})), "give image_id"),
        (lambda: act(project, photo, update, actor=""), "annotator's name"),
        (lambda: act(project, photo, update, actor="a\x00b"), "printable"),
        (lambda: act(project, photo, update, actor="a\ud800b"), "printable"),
        (lambda: act(project, photo, update, actor="a" * 500), "at most 100"),
        (lambda: act(project, photo, update, kind="undo"), "made by"),
        (lambda: act(project, other, update), "no annotation"),
        (lambda: act(project, photo, Update(10**30, 1, {})), "no annotation"),
        (lambda: act(project, 10**30, Create({"box": (1, 1, 2, 2)})), "no photo"),
    ]
    for wrong, message in bad:
        with pytest.raises(StoreError, match=message):
            wrong()
    assert annotation(project, one.id) == one


def test_another_projects_things_are_not_found(database: Database) -> None:
    ours, theirs = sample_project(database, name="ours"), sample_project(database, name="theirs")
    photo, foreign = image_ids(ours)[0], image_ids(theirs)[0]
    mine, hidden = annotations_of(ours, photo)[0], annotations_of(theirs, foreign)[0]
    with pytest.raises(NotFound):
        act(ours, foreign, Update(hidden.id, 1, {"state": "accepted"}))
    with pytest.raises(NotFound):
        act(ours, None, Update(hidden.id, 1, {"state": "accepted"}))
    with pytest.raises(NotFound):
        act(ours, foreign, Create({"box": (1, 1, 2, 2)}))
    with pytest.raises(NotFound):
        annotations_of(ours, foreign)
    with pytest.raises(NotFound):
        annotation(ours, hidden.id)
    with pytest.raises(NotFound):
        history(ours, hidden.id)
    with pytest.raises(StoreError, match="no class"):
        act(ours, photo, Update(mine.id, 1, {"category_id": hidden.category_id}))


def test_a_photo_that_somebody_holds_is_closed_to_others(database: Database) -> None:
    project = sample_project(database)
    photo = image_ids(project)[0]
    one = annotations_of(project, photo)[0]
    claim(project, photo, actor="ann", lease_seconds=60, now=lambda: 1000.0)
    accept = [Update(one.id, 1, {"state": "accepted"})]
    with pytest.raises(Leased, match="ann works on photo photo00000") as caught:
        commit(project, accept, actor="bob", kind="accept", image_id=photo, now=lambda: 1059.0)
    assert (caught.value.by, caught.value.until, caught.value.image_id) == ("ann", 1060.0, photo)
    with pytest.raises(Leased):
        commit(project, accept, actor="bob", kind="accept", image_id=None, now=lambda: 1059.0)
    commit(project, accept, actor="bob", kind="accept", image_id=photo, now=lambda: 1061.0)


def test_of_many_savers_exactly_one_wins(database: Database) -> None:
    project = sample_project(database)
    photo = image_ids(project)[0]
    one = annotations_of(project, photo)[0]
    outcomes: list[str] = []
    together = threading.Barrier(6)

    def save(name: str) -> None:
        together.wait()
        try:
            act(project, photo, Update(one.id, 1, {"state": "accepted"}), actor=name)
            outcomes.append("saved")
        except Conflict as conflict:
            outcomes.append(f"conflict at version {conflict.theirs.version}")

    threads = [threading.Thread(target=save, args=(f"annotator {k}",)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict at version 2"] * 5 + ["saved"]
    assert len(history(project, one.id)) == 1


def test_many_writers_lose_nothing(database: Database) -> None:
    """Threads that read, change, meet conflicts and try again: each success is one version and one event."""
    project = sample_project(database, photos=3)
    photos = image_ids(project)
    first = {photo: annotations_of(project, photo)[0].id for photo in photos}
    done: list[int] = []
    failures: list[BaseException] = []

    def work(name: str, step: int) -> None:
        try:
            for k in range(8):
                photo = photos[(k * step) % len(photos)]
                while True:
                    seen = annotation(project, first[photo])
                    box = {"box": (1, 1, 2 + k, 3), "category_id": seen.category_id}
                    try:
                        act(project, photo, Update(seen.id, seen.version, {"quality": 0.1}), Create(box), actor=name)
                        break
                    except Conflict:
                        continue
                done.append(photo)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"annotator {k}", k + 1)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(done) == 32
    for photo in photos:
        assert annotation(project, first[photo]).version == 1 + done.count(photo)
        assert len(history(project, first[photo])) == done.count(photo)
        assert len(annotations_of(project, photo)) == 2 + done.count(photo)


def test_acts_over_photos_in_any_order_do_not_block_each_other(database: Database) -> None:
    project = sample_project(database, photos=4, boxes=1)
    ids = [annotations_of(project, photo)[0].id for photo in image_ids(project)]
    failures: list[BaseException] = []

    def work(name: str, order: list[int]) -> None:
        for _ in range(6):
            try:
                seen = [annotation(project, number) for number in order]
                act(project, None, *(Update(a.id, a.version, {"state": "accepted"}) for a in seen), actor=name)
            except Conflict:
                continue
            except BaseException as error:
                failures.append(error)

    orders = [ids, ids[::-1], [ids[2], ids[0], ids[3], ids[1]]]
    threads = [threading.Thread(target=work, args=(f"annotator {k}", order)) for k, order in enumerate(orders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len({annotation(project, number).version for number in ids}) == 1


WRITER = """
import sys
from app.store.acts import Create, Update, commit
from app.store.annotations import annotations_of
from app.store.database import open_database
from app.store.projects import open_project

project = open_project(open_database(sys.argv[1]))
photo = int(sys.argv[2])
while True:
    one = annotations_of(project, photo)[0]
    changes = [Update(one.id, one.version, {"quality": 0.5})] + [Create({"box": (1, 1, 9, 9)}) for _ in range(3)]
    print(commit(project, changes, actor="ann", kind="update", image_id=photo).act_id, flush=True)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_whole_acts_and_all_that_it_confirmed(database: Database, database_url: str) -> None:
    project = sample_project(database, photos=1, boxes=1)
    [photo] = image_ids(project)
    command = [sys.executable, "-c", WRITER, database_url, str(photo)]
    writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    confirmed = [int(writer.stdout.readline()) for _ in range(25)]
    writer.kill()
    confirmed += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    writer.wait()
    database.close()
    project = open_project(open_database(database_url))
    with project.database.reading() as session:
        if project.database.is_sqlite:
            assert session.scalar(text("PRAGMA integrity_check")) == "ok"
        mine = select(ActRow.id).where(ActRow.kind == "update").order_by(ActRow.id)
        acts = list(session.scalars(mine))
        per_act = session.execute(select(EventRow.act_id, func.count()).group_by(EventRow.act_id)).all()
    assert acts[: len(confirmed)] == confirmed
    assert len(acts) - len(confirmed) <= 1
    assert dict(tuple(row) for row in per_act) == dict.fromkeys(acts, 4)
    [imported, *new] = annotations_of(project, photo)
    assert imported.version == 1 + len(acts)
    assert len(new) == 3 * len(acts)
    project.database.close()


def test_new_annotations_come_after_all_others(database: Database) -> None:
    project = sample_project(database)
    photos = image_ids(project)
    bird = add_category(project, "bird", actor="ann").id
    first = act(project, photos[0], Create({"box": (1, 1, 2, 2), "category_id": bird})).annotations[0]
    second = act(project, photos[0], Create({"mask": rectangle(1, 1, 4, 4), "category_id": bird})).annotations[0]
    assert [a.id for a in annotations_of(project, photos[0])][2:] == [first.id, second.id]
    assert second.box is None
    with database.reading() as session:
        positions = session.scalars(select(AnnotationRow.position).order_by(AnnotationRow.id)).all()
    assert positions == list(range(len(positions)))
