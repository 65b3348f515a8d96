"""Photos through a labeler: prefetch, order, and errors that stay with their photo.

The driver knows nothing of files, formats or the command line: it takes jobs and hands back outcomes.
While the labeler works on one photo, the next ones are decoded in threads, never more than asked for,
so memory stays flat however long the list is.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

from labelers.protocol import Labeler
from labelers.records import Boxes, Instances, Photo, Status
from labelers.rows import describe
from labelers.vocabulary import Vocabulary


@dataclass(frozen=True)
class Job:
    """One photo to be labelled.

    Attributes:
        key: what identifies the photo in its dataset.
        open: opens the photo (the header at least); raises ``PhotoError`` if it can't. Called in a thread.
        boxes: the boxes, in pixels of the upright photo; may be none, then nothing is decoded.
    """

    key: str
    open: Callable[[], Photo]
    boxes: Boxes


@dataclass(frozen=True)
class Outcome:
    """What became of one job: ``instances`` in the order of its boxes, or ``error``, why the photo can't be read."""

    key: str
    instances: Instances | None
    error: str | None = None


@dataclass(frozen=True)
class Summary:
    """Counts over all outcomes.

    Attributes:
        photos: jobs done, the unreadable ones included.
        unreadable: photos that could not be read.
        rows: how many boxes ended in each status (those of unreadable photos are in none).
    """

    photos: int = 0
    unreadable: int = 0
    rows: Counter[Status] = field(default_factory=Counter)

    def plus(self, outcome: Outcome) -> Summary:
        statuses = outcome.instances.status if outcome.instances is not None else ()
        return Summary(self.photos + 1, self.unreadable + (outcome.error is not None), self.rows + Counter(statuses))


def run(
    labeler: Labeler,
    jobs: Iterable[Job],
    vocabulary: Vocabulary,
    *,
    prefetch: int = 2,
    on_outcome: Callable[[Outcome], None],
) -> Summary:
    """Label every job; ``on_outcome`` is called in the caller's thread, in the order of the jobs.

    ``jobs`` is read lazily in the caller's thread, at most ``prefetch`` + 1 ahead of the outcomes. At most
    ``prefetch`` decoded photos wait while one is being labelled; 0 decodes in the caller's thread.

    A photo that can't be read gives an outcome with ``error``; a labeler that raises gives rows ``FAILED``;
    the rest goes on. Errors of ``jobs`` and ``on_outcome`` themselves are raised, and so is
    ``KeyboardInterrupt``: no outcome is handed out after it, and the threads have ended.
    """
    if prefetch < 0:
        raise ValueError(f"prefetch is {prefetch}; give 0 or more photos")
    summary = Summary()
    with closing(_prefetched(jobs, prefetch)) as ready:
        for job, read in ready:
            outcome = _label(labeler, job, read, vocabulary)
            del read  # it holds the decoded photo
            summary = summary.plus(outcome)
            on_outcome(outcome)
    return summary


def _prefetched(jobs: Iterable[Job], prefetch: int) -> Generator[tuple[Job, Callable[[], Photo]], None, None]:
    """Each job with a function that gives its photo or raises; the next photos are decoded meanwhile."""
    if prefetch == 0:
        yield from ((job, partial(_read, job)) for job in jobs)
        return
    source = iter(jobs)
    waiting: deque[tuple[Job, Future[Photo]]] = deque()
    executor = ThreadPoolExecutor(prefetch, thread_name_prefix="decode")
    try:
        while True:
            job, future = waiting.popleft() if waiting else (next(source, None), None)
            while len(waiting) < prefetch and (following := next(source, None)) is not None:
                waiting.append((following, executor.submit(_read, following)))
            if job is None:
                return
            yield job, future.result if future is not None else partial(_read, job)
            del future  # it holds the decoded photo
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _read(job: Job) -> Photo:
    """The photo with its pixels in memory, if there is anything to do with them."""
    photo = job.open()
    if not len(job.boxes):
        return photo
    pixels = photo.pixels()
    return replace(photo, load=lambda: pixels)


def _label(labeler: Labeler, job: Job, read: Callable[[], Photo], vocabulary: Vocabulary) -> Outcome:
    try:
        photo = read()
    except MemoryError:
        return Outcome(job.key, None, "not enough memory to decode this photo; shrink it")
    except (ValueError, OSError) as error:  # PhotoError is a ValueError and says it all
        return Outcome(job.key, None, str(error))
    except Exception as error:
        return Outcome(job.key, None, describe(error))
    if not len(job.boxes):
        return Outcome(job.key, Instances.none_of(job.boxes, Status.EMPTY, ""))
    try:
        instances = labeler.open(photo).masks(job.boxes, vocabulary)
        if len(instances) != len(job.boxes):
            raise RuntimeError(f"labeler {labeler.spec.name} gave {len(instances)} rows for {len(job.boxes)} boxes")
    except Exception as error:
        instances = Instances.none_of(job.boxes, Status.FAILED, describe(error))
    return Outcome(job.key, instances)
