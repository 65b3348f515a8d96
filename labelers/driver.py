"""Photos through a labeler: decoding ahead, several photos at once, order, and errors that stay with their photo.

The driver knows nothing of files, formats or the command line: it takes jobs and hands back outcomes.
While the labeler works in threads of its own, the next photos are decoded in others, and the caller's thread does
what the caller does with outcomes (journal, database). Never more photos than asked for are in memory, however long
the list is.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

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
    at_once: int | None = None,
    on_outcome: Callable[[Outcome], None],
) -> Summary:
    """Label every job; ``on_outcome`` is called in the caller's thread, in the order of the jobs.

    Args:
        labeler: who works.
        jobs: read lazily in the caller's thread, at most ``prefetch`` + 3 ``at_once`` - 2 ahead of the outcomes.
        vocabulary: the classes.
        prefetch: how many decoded photos may wait while others are labelled; 0 does everything in the caller's thread,
            one photo after the other.
        at_once: photos labelled at the same time; None for as many as keep the labeler busy
            (``LabelerSpec.photos_at_once``). The outcomes don't depend on it.
        on_outcome: hears each outcome. The labeler goes on meanwhile.

    A photo that can't be read gives an outcome with ``error``; a labeler that raises gives rows ``FAILED``;
    the rest goes on. Errors of ``jobs`` and ``on_outcome`` themselves are raised, and so is
    ``KeyboardInterrupt``: no outcome is handed out after it, and the threads have ended.
    """
    if prefetch < 0:
        raise ValueError(f"prefetch is {prefetch}; give 0 or more photos")
    if at_once is None:
        at_once = labeler.spec.photos_at_once
    if at_once < 1:
        raise ValueError(f"at_once is {at_once}; give 1 or more photos")
    label = partial(_label, labeler, vocabulary)
    overlapped = _overlapped if prefetch else _one_by_one
    summary = Summary()
    with closing(overlapped(label, jobs, prefetch, at_once)) as outcomes:
        for outcome in outcomes:
            summary = summary.plus(outcome)
            on_outcome(outcome)
    return summary


_Reading = list[Callable[[], Photo]]
"""What gives the photo or raises; taken out by who calls it, so that nothing else holds the decoded photo."""


_Label = Callable[[Job, _Reading], Outcome]


def _one_by_one(label: _Label, jobs: Iterable[Job], prefetch: int, at_once: int) -> Generator[Outcome, None, None]:
    """The outcome of each job, all in the caller's thread."""
    for job in jobs:
        yield label(job, [partial(_read, job)])


def _overlapped(label: _Label, jobs: Iterable[Job], prefetch: int, at_once: int) -> Generator[Outcome, None, None]:
    """The outcome of each job, in order; later photos are decoded and labelled meanwhile."""
    source = iter(jobs)
    waiting: deque[Future[Outcome]] = deque()  # the oldest first; those that are done wait for their turn
    decoders = ThreadPoolExecutor(prefetch, thread_name_prefix="decode")
    labelers = ThreadPoolExecutor(at_once, thread_name_prefix="label")
    try:
        while True:
            working = [future for future in waiting if not future.done()]
            # A photo with many boxes may take as long as several others: their outcomes wait, but not without limit.
            room = min(prefetch + at_once - len(working), prefetch + 3 * at_once - 2 - len(waiting))
            for job in islice(source, max(room, 0)):
                reading: _Reading = [decoders.submit(_read, job).result]
                waiting.append(labelers.submit(label, job, reading))
            if not waiting:
                return
            if waiting[0].done():
                yield waiting.popleft().result()
            else:
                wait([future for future in waiting if not future.done()], return_when=FIRST_COMPLETED)
    finally:
        labelers.shutdown(wait=False, cancel_futures=True)
        decoders.shutdown(wait=True, cancel_futures=True)
        labelers.shutdown(wait=True)


def _read(job: Job) -> Photo:
    """The photo with its pixels in memory, if there is anything to do with them."""
    photo = job.open()
    if not len(job.boxes):
        return photo
    pixels = photo.pixels()
    return replace(photo, load=lambda: pixels)


def _label(labeler: Labeler, vocabulary: Vocabulary, job: Job, reading: _Reading) -> Outcome:
    try:
        photo = reading.pop()()
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
