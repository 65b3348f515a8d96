"""The review queue: orders, going on and back, leases, and annotators who ask at the same time."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sample_project import image_ids, rectangle, sample_project

from app.store.acts import Create, Delete, Update, commit
from app.store.annotations import annotations_of
from app.store.database import Database
from app.store.errors import Leased, NotFound, StoreError
from app.store.images import image
from app.store.projects import Project, categories
from app.store.queue import Order, claim, next_image, release, renew, set_reviewed, upcoming
from app.store.records import State

ROOT = Path(__file__).parents[3]


def change(project: Project, photo: int, k: int, **values: Any) -> None:
    one = annotations_of(project, photo)[k]
    commit(project, [Update(one.id, one.version, values)], actor="ann", kind="update", image_id=photo)


def finish(project: Project, photo: int, actor: str = "ann") -> None:
    """Accept all of a photo."""
    made = [Update(a.id, a.version, {"state": "accepted"}) for a in annotations_of(project, photo)]
    commit(project, made, actor=actor, kind="accept", image_id=photo)


def walk(project: Project, order: Order, *, steps: int, after: int | None = None, **options: Any) -> list[int | None]:
    """Where 'next' leads, without finishing anything. Numbers are places in the file."""
    places = {number: place for place, number in enumerate(image_ids(project))}
    found: list[int | None] = []
    for _ in range(steps):
        photo = next_image(project, actor="ann", order=order, after=after, **options)
        found.append(None if photo is None else places[photo.id])
        after = None if photo is None else photo.id
    return found


def scored(database: Database) -> Project:
    """Five photos whose worst masks are 0.9, 0.2, (none), 0.5, not scored."""
    project = sample_project(database, photos=5, boxes=2)
    for photo, quality in zip(image_ids(project), (0.9, 0.2, None, 0.5, "unknown"), strict=True):
        for k in range(2):
            if quality is not None:
                score = None if quality == "unknown" else max(float(quality), 0.95 * k)
                change(project, photo, k, mask=rectangle(1, 2, 5, 8), quality=score)
    return project


def test_file_order_goes_on_back_and_around(database: Database) -> None:
    project = sample_project(database, photos=4, boxes=1)
    photos = image_ids(project)
    assert walk(project, Order.FILE, steps=6) == [0, 1, 2, 3, 0, 1]
    assert walk(project, Order.FILE, steps=5, forward=False) == [3, 2, 1, 0, 3]
    finish(project, photos[2])
    assert walk(project, Order.FILE, steps=4, after=photos[1]) == [3, 0, 1, 3]
    assert walk(project, Order.FILE, steps=2, after=photos[2], forward=False) == [1, 0]
    for photo in (photos[0], photos[1]):
        finish(project, photo)
    assert walk(project, Order.FILE, steps=2, after=photos[3]) == [3, 3]
    finish(project, photos[3])
    assert walk(project, Order.FILE, steps=1, after=photos[3]) == [None]
    assert walk(project, Order.FILE, steps=5, include_done=True) == [0, 1, 2, 3, 0]


def test_quality_order_starts_with_unmasked_boxes_then_the_worst(database: Database) -> None:
    project = scored(database)
    assert walk(project, Order.QUALITY, steps=6) == [2, 1, 3, 0, 4, 2]
    assert walk(project, Order.QUALITY, steps=3, forward=False) == [4, 0, 3]


def test_quality_order_goes_on_from_where_the_photo_was_though_its_masks_changed(database: Database) -> None:
    project = scored(database)
    photos = image_ids(project)
    first = next_image(project, actor="ann", order=Order.QUALITY)
    assert first is not None
    assert first.id == photos[2]
    change(project, first.id, 0, mask=rectangle(1, 2, 5, 8), quality=0.7)
    change(project, first.id, 1, mask=rectangle(1, 2, 5, 8), quality=0.7)
    assert walk(project, Order.QUALITY, steps=5, after=first.id) == [1, 3, 2, 0, 4]
    skipped = next_image(project, actor="ann", order=Order.QUALITY)
    assert skipped is not None
    assert skipped.id == photos[1]
    finish(project, skipped.id)
    assert walk(project, Order.QUALITY, steps=4, after=skipped.id) == [3, 2, 0, 4]


def test_class_order(database: Database) -> None:
    project = sample_project(database, photos=3, boxes=1, classes=("cat", "dog", "bird"))
    cat, dog, bird = (c.id for c in categories(project))
    for photo, category in zip(image_ids(project), (bird, None, dog), strict=True):
        change(project, photo, 0, category_id=category)
    assert walk(project, Order.CLASS, steps=4) == [2, 0, 1, 2]
    assert walk(project, Order.CLASS, steps=2, category_id=dog) == [2, 2]
    assert walk(project, Order.FILE, steps=2, category_id=bird) == [0, 0]
    assert walk(project, Order.QUALITY, steps=1, category_id=cat) == [None]


def test_random_order_visits_all_in_another_order_that_stays(database: Database) -> None:
    project = sample_project(database, photos=12, boxes=1)
    order = walk(project, Order.RANDOM, steps=12)
    assert sorted(place for place in order if place is not None) == list(range(12))
    assert order != list(range(12))
    assert walk(project, Order.RANDOM, steps=12) == order
    assert walk(project, Order.RANDOM, steps=12, forward=False) == order[::-1]


def test_states_decide_what_is_work(database: Database) -> None:
    project = sample_project(database, photos=4, boxes=1)
    photos = image_ids(project)
    for photo, state in zip(photos, ("accepted", "rejected", "needs work", "proposed"), strict=True):
        change(project, photo, 0, state=state)
    assert walk(project, Order.FILE, steps=3) == [2, 3, 2]
    assert walk(project, Order.FILE, steps=2, states=["accepted"]) == [0, 0]
    assert walk(project, Order.QUALITY, steps=2, states=[State.REJECTED]) == [1, 1]
    one = annotations_of(project, photos[3])[0]
    commit(project, [Delete(one.id, one.version)], actor="ann", kind="delete", image_id=photos[3])
    assert walk(project, Order.FILE, steps=3) == [2, 3, 2], "a photo without annotations is work too"
    assert walk(project, Order.FILE, steps=2, include_empty=False) == [2, 2]


@pytest.mark.parametrize("order", Order)
def test_photos_without_annotations_are_work_until_reviewed(database: Database, order: Order) -> None:
    project = sample_project(database, photos=3, boxes=0)
    photos = image_ids(project)
    seen = walk(project, order, steps=3)
    assert sorted(place for place in seen if place is not None) == [0, 1, 2]
    assert set_reviewed(project, photos[0], actor="ann", reviewed=True).reviewed
    commit(
        project,
        [Create({"box": (1, 1, 9, 9), "state": "accepted"})],
        actor="ann",
        kind="create",
        image_id=photos[1],
    )
    assert walk(project, order, steps=2) == [2, 2]
    assert walk(project, order, steps=1, include_empty=False) == [None]
    set_reviewed(project, photos[0], actor="ann", reviewed=False)
    assert walk(project, order, steps=2, after=photos[2]) == [0, 2]


def test_upcoming_is_what_comes_and_takes_nothing(database: Database) -> None:
    project = scored(database)
    photos = image_ids(project)
    first = next_image(project, actor="ann", order=Order.QUALITY)
    assert first is not None
    expected = [photos[k] for k in (1, 3, 0)]
    assert upcoming(project, actor="ann", order=Order.QUALITY, after=first.id, count=3) == expected
    assert all(image(project, photo).lease_by is None for photo in photos if photo != first.id)
    assert upcoming(project, actor="ann", order=Order.FILE, after=photos[3], count=3) == [photos[k] for k in (4, 0, 1)]
    assert upcoming(project, actor="ann", order=Order.FILE, after=photos[3], forward=False, count=1) == [photos[2]]
    claim(project, photos[1], actor="bob")
    assert upcoming(project, actor="ann", order=Order.QUALITY, after=first.id, count=1) == [photos[3]]


def test_leases_keep_others_out_until_they_end(database: Database) -> None:
    project = sample_project(database, photos=2, boxes=1)
    one, two = image_ids(project)

    def ask(actor: str, at: float) -> int | None:
        found = next_image(project, actor=actor, order=Order.FILE, lease_seconds=60, now=lambda: at)
        return None if found is None else found.id

    assert ask("ann", 1000) == one
    assert ask("ann", 1001) == one, "one's own lease is no obstacle"
    assert ask("bob", 1002) == two
    assert ask("cleo", 1003) is None
    with pytest.raises(Leased, match="ann works on"):
        claim(project, one, actor="cleo", now=lambda: 1004.0)
    with pytest.raises(Leased):
        set_reviewed(project, one, actor="cleo", reviewed=True, now=lambda: 1004.0)
    renewed = renew(project, two, actor="bob", lease_seconds=60, now=lambda: 1050.0)
    assert (renewed.lease_by, renewed.lease_until) == ("bob", 1110.0)
    assert ask("cleo", 1070) == one, "ann's lease ran out"
    with pytest.raises(Leased):
        renew(project, one, actor="ann", now=lambda: 1071.0)
    release(project, "cleo", one)
    assert ask("ann", 1072) == one
    release(project, "ann", two)
    assert image(project, two).lease_by == "bob", "nobody gives back another's photo"
    release(project, "bob")
    assert claim(project, two, actor="ann", now=lambda: 1073.0).lease_by == "ann"


def test_going_on_gives_back_the_photo_before(database: Database) -> None:
    project = sample_project(database, photos=3, boxes=1)
    one, two, _ = image_ids(project)
    next_image(project, actor="ann", order=Order.FILE)
    next_image(project, actor="ann", order=Order.FILE, after=one)
    assert (image(project, one).lease_by, image(project, two).lease_by) == (None, "ann")
    claim(project, one, actor="bob")
    next_image(project, actor="ann", order=Order.FILE, after=one)
    assert image(project, one).lease_by == "bob", "after is somebody else's photo"


def test_nonsense_is_refused(database: Database) -> None:
    project = sample_project(database, photos=1, boxes=1)
    other = sample_project(database, name="other")
    foreign = image_ids(other)[0]
    wrong: list[tuple[dict[str, Any], type[StoreError]]] = [
        ({"order": "alphabet"}, StoreError),
        ({"states": ["done"]}, StoreError),
        ({"after": foreign}, NotFound),
        ({"after": 10**30}, NotFound),
        ({"category_id": 10**30}, StoreError),
        ({"lease_seconds": 0}, StoreError),
        ({"lease_seconds": float("nan")}, StoreError),
        ({"actor": ""}, StoreError),
    ]
    for options, error in wrong:
        with pytest.raises(error):
            next_image(project, **{"actor": "ann", **options})
    for take in (claim, renew):
        with pytest.raises(NotFound):
            take(project, foreign, actor="ann")
    assert next_image(project, actor="ann", category_id=categories(other)[0].id) is None


def test_annotators_who_ask_at_once_never_get_the_same_photo(database: Database) -> None:
    project = sample_project(database, photos=50, boxes=1)
    got: dict[str, list[int]] = {"ann": [], "bob": [], "cleo": []}
    failures: list[BaseException] = []

    def work(actor: str) -> None:
        try:
            while (photo := next_image(project, actor=actor, order=Order.QUALITY)) is not None:
                got[actor].append(photo.id)
                finish(project, photo.id, actor)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(actor,)) for actor in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    everything = [photo for photos in got.values() for photo in photos]
    assert sorted(everything) == image_ids(project)


CLAIMER = """
import sys
from app.store.database import open_database
from app.store.projects import open_project
from app.store.queue import next_image

project = open_project(open_database(sys.argv[1]))
after = None
print("ready", flush=True)
sys.stdin.readline()
for k in range(20):
    # Another name each time, so that every photo stays held.
    photo = next_image(project, actor=f"{sys.argv[2]} {k}", order="random")
    print(photo.id, flush=True)
"""


@pytest.mark.slow
def test_two_processes_never_get_the_same_photo(database: Database, database_url: str) -> None:
    project = sample_project(database, photos=50, boxes=1)
    claimers = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, database_url, name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("ann", "bob")
    ]
    for claimer in claimers:
        assert claimer.stdout is not None
        assert claimer.stdout.readline() == "ready\n"
    for claimer in claimers:
        assert claimer.stdin is not None
        claimer.stdin.write("go\n")
        claimer.stdin.flush()
    got = [[int(line) for line in claimer.communicate(timeout=60)[0].split()] for claimer in claimers]
    assert [len(photos) for photos in got] == [20, 20]
    assert len({*got[0], *got[1]}) == 40
    assert {*got[0], *got[1]} < set(image_ids(project))


def test_a_photo_that_is_just_being_saved_is_waited_for_if_it_is_the_last(database: Database) -> None:
    """SKIP LOCKED alone would say that nothing is left."""
    project = sample_project(database, photos=1, boxes=1)
    [photo] = image_ids(project)
    locked, found = threading.Event(), []

    def save() -> None:
        from app.store.images import find_image

        with database.writing() as session:
            find_image(session, project, photo, lock=True)
            locked.set()
            threading.Event().wait(0.3)

    saver = threading.Thread(target=save)
    saver.start()
    locked.wait()
    found.append(next_image(project, actor="ann", order=Order.FILE))
    saver.join()
    assert found[0] is not None
    assert found[0].id == photo
