"""Photos to the labeler, answers into the journal. The next photo is decoded while the labeler works on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from app.propose.result import PhotoProposals, boxes_of, mask_region, regions_of
from app.propose.settings import Settings
from app.propose.sources import Asked, Item, Source, ask
from exporters.masks import encode
from labelers.duplicates import select, suppress
from labelers.journal import Journal
from labelers.protocol import CannotPropose, Labeler, LabelerSpec, SceneOpened
from labelers.records import Instances, Photo, Status
from labelers.rows import describe
from labelers.vocabulary import THRESHOLD, Vocabulary

Read = tuple[Asked, Photo]


class Answerer(Protocol):
    """Who answers for the photos: this process, or workers of a Ray cluster. The answers are the same."""

    @property
    def spec(self) -> LabelerSpec:
        """Of the labeler. Starts what has to be started; raises what building the labeler raises."""
        ...

    def answer(self, items: Sequence[Item], journal: Journal, *, on_photo: Callable[[], object]) -> None:
        """Put the proposals of each photo into the journal, in order."""
        ...

    def close(self) -> None:
        """Let go of devices and workers. Closing twice is fine."""
        ...


@dataclass(frozen=True)
class LocalAnswerer:
    """This process, with the next photo decoded in a thread."""

    labeler: Labeler
    source: Source
    vocabulary: Vocabulary
    settings: Settings

    @property
    def spec(self) -> LabelerSpec:
        return self.labeler.spec

    def answer(self, items: Sequence[Item], journal: Journal, *, on_photo: Callable[[], object]) -> None:
        def work(asked: Asked, photo: Photo) -> dict[str, Any]:
            return proposals_of(self.labeler, asked, photo, self.vocabulary, self.settings).payload()

        answer_each(self.source, items, journal, work, exif=self.settings.exif, on_photo=on_photo)

    def close(self) -> None:
        return None


def unfinished(items: Sequence[Item], journal: Journal) -> list[Item]:
    """What is still to be done. A photo that failed is among it: it may have been put back since."""
    return [item for item in items if not (journal.done(item.key) and journal.read(item.key).get("error") is None)]


def each_photo(
    source: Source, items: Sequence[Item], *, exif: str, with_masks: bool = True
) -> Iterator[tuple[Item, Callable[[], Read]]]:
    """Each photo with a function that gives it, pixels in memory, or raises what is wrong with it."""

    def read(item: Item) -> Read:
        if item.problem is not None:
            raise ValueError(item.problem)
        return with_pixels(ask(source, item, exif=exif, with_masks=with_masks), item)

    with ThreadPoolExecutor(1, thread_name_prefix="decode") as pool:
        ahead = pool.submit(read, items[0]) if items else None
        for number, item in enumerate(items):
            now = ahead
            ahead = pool.submit(read, items[number + 1]) if number + 1 < len(items) else None
            assert now is not None
            yield item, now.result


def answer_each(
    source: Source,
    items: Sequence[Item],
    journal: Journal,
    work: Callable[[Asked, Photo], dict[str, Any]],
    *,
    exif: str,
    with_masks: bool = True,
    on_photo: Callable[[], object],
) -> None:
    """Put what ``work`` makes of each photo into the journal; what goes wrong with one photo stays with it."""
    for item, read in each_photo(source, items, exif=exif, with_masks=with_masks):
        journal.append(item.key, answered(work, read))
        on_photo()


def answered(work: Callable[[Asked, Photo], dict[str, Any]], read: Callable[[], Read]) -> dict[str, Any]:
    """What ``work`` makes of a photo, or what went wrong with it."""
    try:
        return work(*read())
    except MemoryError:
        error = "not enough memory for this photo; shrink it"
    except (ValueError, OSError) as wrong:  # PhotoError is a ValueError and says it all
        error = str(wrong)
    except Exception as wrong:
        error = f"the labeler failed: {describe(wrong)}"
    return PhotoProposals(error=error).payload()


def with_pixels(asked: Asked, item: Item) -> Read:
    """The photo with its pixels in memory. Raises PhotoError."""
    photo = asked.header.photo(item.key)
    pixels = photo.pixels()
    return asked, replace(photo, load=lambda: pixels)


def proposals_of(
    labeler: Labeler, asked: Asked, photo: Photo, vocabulary: Vocabulary, settings: Settings
) -> PhotoProposals:
    """All that the tasks ask of one photo."""
    opened = open_scene(labeler, photo)
    frame, known = asked.frame, 0
    made: dict[str, Any] = {}
    if "instances" in settings.tasks:
        found = opened.propose(vocabulary)
        rows = suppress(found, asked.existing, vocabulary=vocabulary)
        known += len(found) - len(rows)
        made["instances"] = regions_of(select(found, rows[: settings.most]), frame)
    if "boxes" in settings.tasks:
        boxes, scores = opened.detections(vocabulary)
        lowest = np.array([_lowest(vocabulary, name) for name in boxes.names], np.float32)
        good = np.flatnonzero(scores >= lowest)
        n = len(good)
        found = Instances(boxes[good], (None,) * n, scores[good], (Status.EMPTY,) * n)
        rows = suppress(found, asked.existing, vocabulary=vocabulary)
        known += n - len(rows)
        best = select(found, rows[: settings.most])
        made["boxes"] = tuple(boxes_of(best.boxes.xyxy, best.boxes.names, best.scores.tolist(), frame))
    if {"panoptic", "semantic"} & set(settings.tasks):
        scene = opened.scene(vocabulary, panoptic="panoptic" in settings.tasks, semantic="semantic" in settings.tasks)
        if scene.panoptic is not None:
            made["panoptic"] = tuple(
                mask_region(one.name, frame.mask_from_upright(encode(scene.panoptic.ids == one.id)), one.score)
                for one in scene.panoptic.segments
            )
        if scene.semantic is not None:
            made["semantic"] = tuple(
                mask_region(vocabulary.names[k], frame.mask_from_upright(encode(scene.semantic == k)), 1.0)
                for k in np.unique(scene.semantic).tolist()
                if k >= 0
            )
    return PhotoProposals(height=frame.height, width=frame.width, known=known, note=frame.note, **made)


def open_scene(labeler: Labeler, photo: Photo) -> SceneOpened:
    """Raises CannotPropose: this labeler answers boxes only."""
    opened = labeler.open(photo)
    if not isinstance(opened, SceneOpened):
        raise CannotPropose(f"the labeler {labeler.spec.name} does not see whole photos")
    return opened


def _lowest(vocabulary: Vocabulary, name: str) -> float:
    entry = vocabulary.get(name)
    return THRESHOLD if entry is None or entry.threshold is None else entry.threshold
