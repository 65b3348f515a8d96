"""Several photos labelled at the same time: same outcomes, same order, bounded memory, clean stop."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeLabeler, FakeOpened

from labelers.driver import Job, Outcome, run
from labelers.photos import open_photo
from labelers.protocol import LabelerSpec
from labelers.records import Boxes, Instances, Photo
from labelers.vocabulary import Vocabulary

BOXES = Boxes(np.array([[1, 1, 9, 7], [2, 2, 4, 4]], np.float32), ("cat", "dog"))
EXAMPLES = Path(__file__).resolve().parents[2] / "app" / "examples" / "photos"


def blank() -> np.ndarray:
    return np.zeros((10, 12, 3), np.uint8)


def job(key: object) -> Job:
    return Job(str(key), lambda: Photo(str(key), f"{key}.jpg", 10, 12, blank), BOXES)


def test_as_many_photos_are_asked_about_at_once_as_the_labeler_wants() -> None:
    together = threading.Barrier(3)

    class Meeting(FakeLabeler):
        def open(self, photo: Photo) -> FakeOpened:
            together.wait(10)  # raises unless three photos are here at the same time
            return super().open(photo)

    outcomes: list[Outcome] = []
    labeler = Meeting(spec=LabelerSpec("meeting", "1", photos_at_once=3))
    run(labeler, map(job, range(9)), Vocabulary(), on_outcome=outcomes.append)
    assert [outcome.key for outcome in outcomes] == [str(k) for k in range(9)]
    assert all(outcome.instances and all(outcome.instances.masks) for outcome in outcomes)


def test_outcomes_keep_their_order_however_long_each_photo_takes() -> None:
    class Uneven(FakeLabeler):
        def open(self, photo: Photo) -> FakeOpened:
            time.sleep(0.03 if int(photo.key) % 4 == 0 else 0)
            return super().open(photo)

    drawn = 0

    def jobs() -> Iterator[Job]:
        nonlocal drawn
        for key in range(30):
            drawn += 1
            yield job(key)

    keys: list[str] = []
    caller = threading.get_ident()

    def heard(outcome: Outcome) -> None:
        assert threading.get_ident() == caller
        assert drawn - len(keys) <= 2 + 3 * 3 - 2
        keys.append(outcome.key)

    run(Uneven(), jobs(), Vocabulary(), prefetch=2, at_once=3, on_outcome=heard)
    assert keys == [str(k) for k in range(30)]


def test_no_more_photos_in_memory_than_waiting_and_at_work() -> None:
    alive: set[int] = set()
    most, lock = 0, threading.Lock()

    class Pixels(np.ndarray):
        pass

    def decoding(key: int) -> Job:
        def load() -> np.ndarray:
            nonlocal most
            image = blank().view(Pixels)
            with lock:
                alive.add(key)
                most = max(most, len(alive))
            weakref.finalize(image, alive.discard, key)
            return image

        return Job(str(key), lambda: Photo(str(key), "", 10, 12, load), BOXES)

    run(FakeLabeler(delay=0.002), map(decoding, range(60)), Vocabulary(), prefetch=2, at_once=3, on_outcome=id)
    assert 2 <= most <= 2 + 3
    assert not alive


def test_an_interrupt_in_one_photo_ends_all_threads() -> None:
    class Interrupted(FakeLabeler):
        def open(self, photo: Photo) -> FakeOpened:
            if photo.key == "5":
                raise KeyboardInterrupt
            return super().open(photo)

    before, outcomes, jobs = threading.active_count(), [], map(job, range(1000))
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(), jobs, Vocabulary(), at_once=3, on_outcome=outcomes.append)
    assert [outcome.key for outcome in outcomes] == [str(k) for k in range(5)]
    assert threading.active_count() == before
    assert int(next(jobs).key) <= 5 + 2 + 3 * 3 - 1


def test_no_photo_at_once_is_refused() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        run(FakeLabeler(), [], Vocabulary(), at_once=0, on_outcome=id)


def test_the_model_gives_the_same_bytes_with_one_and_with_several_photos_at_once() -> None:
    from labelers.build import build_labeler

    labeler = build_labeler("conditioned", device="cpu")
    names = sorted(path.name for path in EXAMPLES.iterdir())[:3] * 2
    random = np.random.default_rng(3)

    def photo_job(number: int, name: str) -> Job:
        photo = open_photo(EXAMPLES, name, key=str(number))
        corners = random.uniform(0, 0.6, (1 + number, 2))
        sides = random.uniform(0.05, 0.4, (1 + number, 2))
        scale = np.array([photo.width, photo.height] * 2, np.float32)
        boxes = np.concatenate([corners, corners + sides], axis=1).astype(np.float32) * scale
        return Job(photo.key, lambda: photo, Boxes(boxes, ("cat", "cup", "dog")[number % 3 :][:1] * len(boxes)))

    jobs = [photo_job(number, name) for number, name in enumerate(names)]
    found: list[list[Instances | None]] = []
    for prefetch, at_once in ((0, 1), (2, 1), (2, 3)):
        outcomes: list[Outcome] = []
        run(labeler, jobs, Vocabulary(), prefetch=prefetch, at_once=at_once, on_outcome=outcomes.append)
        found.append([outcome.instances for outcome in outcomes])
    for one, two, three in zip(*found, strict=True):
        assert one is not None
        assert two is not None
        assert three is not None
        assert any(one.masks)
        assert one.masks == two.masks == three.masks
        assert one.scores.tobytes() == two.scores.tobytes() == three.scores.tobytes()
