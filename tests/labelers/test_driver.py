"""The driver: order, prefetching, back-pressure, errors that stay with their photo, a clean stop."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeLabeler
from PIL import Image

from labelers.driver import Job, Outcome, Summary, run
from labelers.photos import open_photo
from labelers.protocol import Labeler, label_boxes
from labelers.records import Boxes, Instances, Photo, Status
from labelers.vocabulary import Vocabulary

BOXES = Boxes(np.array([[1, 1, 9, 7], [2, 2, 4, 4]], np.float32), ("cat", "dog"))
NONE = Boxes(np.zeros((0, 4), np.float32), ())
PREFETCHES = [0, 1, 2, 5]


def photo(key: str, load: Callable[[], np.ndarray] | None = None) -> Photo:
    return Photo(key, f"{key}.jpg", 10, 12, load or (lambda: np.zeros((10, 12, 3), np.uint8)))


def job(key: str, *, boxes: Boxes = BOXES, load: Callable[[], np.ndarray] | None = None) -> Job:
    return Job(key, lambda: photo(key, load), boxes)


def collect(labeler: Labeler, jobs: object, prefetch: int = 2) -> tuple[list[Outcome], Summary]:
    outcomes: list[Outcome] = []
    summary = run(labeler, jobs, Vocabulary(), prefetch=prefetch, on_outcome=outcomes.append)  # type: ignore[arg-type]
    return outcomes, summary


def raises(error: BaseException) -> Callable[[], np.ndarray]:
    def load() -> np.ndarray:
        raise error

    return load


@pytest.mark.parametrize("prefetch", PREFETCHES)
def test_outcomes_come_in_the_order_of_the_jobs(prefetch: int) -> None:
    def slow_first(key: int) -> Callable[[], np.ndarray]:
        def load() -> np.ndarray:
            time.sleep(0.02 if key % 3 == 0 else 0)
            return np.zeros((10, 12, 3), np.uint8)

        return load

    outcomes, summary = collect(FakeLabeler(), [job(str(k), load=slow_first(k)) for k in range(12)], prefetch)
    assert [outcome.key for outcome in outcomes] == [str(k) for k in range(12)]
    assert summary == Summary(photos=12, unreadable=0, rows=summary.rows)
    assert dict(summary.rows) == {Status.OK: 24}


@pytest.mark.parametrize("prefetch", PREFETCHES)
def test_the_masks_are_those_of_the_labeler_alone(prefetch: int) -> None:
    outcomes, _ = collect(FakeLabeler(), [job("a"), job("b")], prefetch)
    alone = label_boxes(FakeLabeler(), photo("a"), BOXES, Vocabulary())
    for outcome in outcomes:
        assert outcome.instances is not None
        assert outcome.instances.masks == alone.masks
        np.testing.assert_array_equal(outcome.instances.scores, alone.scores)


@pytest.mark.parametrize("prefetch", PREFETCHES)
def test_no_jobs(prefetch: int) -> None:
    assert collect(FakeLabeler(), [], prefetch) == ([], Summary())


@pytest.mark.parametrize("prefetch", PREFETCHES)
def test_an_unreadable_photo_does_not_touch_its_neighbours(prefetch: int, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((10, 12, 3), np.uint8)).save(tmp_path / "good.png")
    data = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[:-30])
    names = ["good.png", "missing.png", "good.png", "cut.png", "../up.png", "good.png"]
    jobs = [Job(str(k), lambda n=n, k=k: open_photo(tmp_path, n, key=str(k)), BOXES) for k, n in enumerate(names)]
    outcomes, summary = collect(FakeLabeler(), jobs, prefetch)
    assert [outcome.error is None for outcome in outcomes] == [True, False, True, False, False, True]
    assert all((outcome.instances is None) == (outcome.error is not None) for outcome in outcomes)
    for outcome, word in zip(outcomes[1:5:2], ("missing.png", "cut.png"), strict=True):
        assert word in (outcome.error or "")
    assert (summary.photos, summary.unreadable, summary.rows[Status.OK]) == (6, 3, 6)


@pytest.mark.parametrize("prefetch", PREFETCHES)
@pytest.mark.parametrize(
    ("error", "says"),
    [(MemoryError(), "memory"), (OSError("disk on fire"), "disk on fire"), (RuntimeError("odd"), "RuntimeError: odd")],
)
def test_whatever_reading_raises_is_reported(prefetch: int, error: Exception, says: str) -> None:
    outcomes, _ = collect(FakeLabeler(), [job("1", load=raises(error)), job("2")], prefetch)
    assert says in (outcomes[0].error or "")
    assert outcomes[1].error is None


@pytest.mark.parametrize("prefetch", PREFETCHES)
def test_a_labeler_that_raises_fails_the_rows_of_that_photo(prefetch: int) -> None:
    labeler = FakeLabeler(fail_on={"2"}, memory_on={"3"})
    outcomes, summary = collect(labeler, [job(k) for k in "1234"], prefetch)
    statuses = [outcome.instances.status[0] for outcome in outcomes if outcome.instances]
    assert statuses == [Status.OK, Status.FAILED, Status.FAILED, Status.OK]
    assert outcomes[1].instances is not None
    assert outcomes[1].instances.reasons == ("RuntimeError: told to fail on 2",) * 2
    assert outcomes[2].instances is not None
    assert outcomes[2].instances.reasons == ("not enough memory",) * 2
    assert dict(summary.rows) == {Status.OK: 4, Status.FAILED: 4}
    assert summary.unreadable == 0


def test_a_labeler_that_drops_a_row_is_caught() -> None:
    class Dropping(FakeLabeler):
        def open(self, photo: Photo) -> Dropping:  # type: ignore[override]
            return self

        def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Instances:
            return Instances.none_of(boxes[:1], Status.EMPTY, "")

    outcomes, _ = collect(Dropping(), [job("1")])
    assert outcomes[0].instances is not None
    assert outcomes[0].instances.status == (Status.FAILED, Status.FAILED)
    assert "1 rows for 2 boxes" in outcomes[0].instances.reasons[0]


@pytest.mark.parametrize("prefetch", PREFETCHES)
def test_without_boxes_nothing_is_decoded_but_a_missing_file_is_noticed(prefetch: int, tmp_path: Path) -> None:
    labeler = FakeLabeler()
    jobs = [
        job("1", boxes=NONE, load=raises(AssertionError("decoded"))),
        Job("2", lambda: open_photo(tmp_path, "missing.png", key="2"), NONE),
    ]
    outcomes, _ = collect(labeler, jobs, prefetch)
    assert outcomes[0].instances is not None
    assert len(outcomes[0].instances) == 0
    assert "missing.png" in (outcomes[1].error or "")
    assert labeler.opened == []


@pytest.mark.parametrize("prefetch", PREFETCHES)
def test_memory_stays_flat(prefetch: int) -> None:
    """No more decoded photos alive than asked for, and the list of jobs is not read far ahead."""
    alive: set[int] = set()
    lock = threading.Lock()
    most = drawn = done = 0

    class Pixels(np.ndarray):
        pass

    def load(key: int) -> Callable[[], np.ndarray]:
        def decode() -> np.ndarray:
            nonlocal most
            image = np.zeros((10, 12, 3), np.uint8).view(Pixels)
            with lock:
                alive.add(key)
                most = max(most, len(alive))
            weakref.finalize(image, alive.discard, key)
            return image

        return decode

    def jobs() -> Iterator[Job]:
        nonlocal drawn
        for key in range(40):
            drawn += 1
            assert drawn - done <= prefetch + 2
            yield job(str(key), load=load(key))

    def finished(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        assert outcome.error is None

    gc.disable()  # nothing may rely on the cycle collector
    try:
        run(FakeLabeler(delay=0.002), jobs(), Vocabulary(), prefetch=prefetch, on_outcome=finished)
    finally:
        gc.enable()
    assert done == 40
    assert 1 <= most <= prefetch + 1
    assert not alive


def test_the_next_photo_is_decoded_while_the_labeler_works() -> None:
    second_decoded = threading.Event()

    def load() -> np.ndarray:
        second_decoded.set()
        return np.zeros((10, 12, 3), np.uint8)

    class Waiting(FakeLabeler):
        def open(self, photo: Photo):  # type: ignore[no-untyped-def]
            assert second_decoded.wait(10), "the second photo is not decoded while the first is labelled"
            return super().open(photo)

    outcomes, _ = collect(Waiting(), [job("1"), job("2", load=load)], 1)
    assert all(outcome.instances and outcome.instances.status[0] is Status.OK for outcome in outcomes)


@pytest.mark.parametrize("prefetch", PREFETCHES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_stops_cleanly(prefetch: int, error: type[BaseException]) -> None:
    class Interrupted(FakeLabeler):
        def open(self, photo: Photo):  # type: ignore[no-untyped-def]
            if photo.key == "3":
                raise error
            return super().open(photo)

    before = threading.active_count()
    outcomes: list[Outcome] = []
    jobs = (job(str(k)) for k in range(1000))
    with pytest.raises(error):
        run(Interrupted(), jobs, Vocabulary(), prefetch=prefetch, on_outcome=outcomes.append)
    assert [outcome.key for outcome in outcomes] == ["0", "1", "2"]
    assert threading.active_count() == before
    assert next(jobs).key  # the rest of the list was not read


@pytest.mark.parametrize("prefetch", PREFETCHES)
def test_errors_of_the_caller_are_the_callers(prefetch: int) -> None:
    def jobs() -> Iterator[Job]:
        yield job("1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        collect(FakeLabeler(), jobs(), prefetch)

    def full(outcome: Outcome) -> None:
        raise OSError("disk full")

    before = threading.active_count()
    with pytest.raises(OSError, match="disk full"):
        run(FakeLabeler(), [job("1"), job("2")], Vocabulary(), prefetch=prefetch, on_outcome=full)
    assert threading.active_count() == before


def test_negative_prefetch_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        collect(FakeLabeler(), [], -1)
