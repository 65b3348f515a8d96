"""Small scenes made of rectangles, and a labeler that knows them: what it says is true, or worse on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exporters import masks
from labelers.protocol import LabelerSpec
from labelers.records import Boxes, Instances, Photo, Status
from labelers.scene import PanopticMap, Scene, Segment
from labelers.vocabulary import Vocabulary

HEIGHT, WIDTH = 48, 64


@dataclass(frozen=True)
class Painted:
    """One scene: int32 [H, W], 0 where nobody knows, and the class of each id."""

    ids: NDArray[np.int32]
    names: Mapping[int, str]


def paint(things: Sequence[str], stuff: Sequence[str], *, seed: int = 0) -> Painted:
    """Two bands of stuff, a strip of void at the bottom, and rectangles of things that don't touch each other."""
    random = np.random.default_rng(seed)
    ids = np.zeros((HEIGHT, WIDTH), np.int32)
    names = {}
    for k, name in enumerate(stuff[:2], start=1):
        ids[(k - 1) * 22 : k * 22] = k
        names[k] = name
    for k, name in enumerate(things[:4]):
        x, y = 2 + 16 * k + int(random.integers(0, 3)), 4 + int(random.integers(0, 20))
        ids[y : y + 10 + int(random.integers(0, 6)), x : x + 9 + int(random.integers(0, 3))] = 11 + k
        names[11 + k] = name
    return Painted(ids, names)


def save_jpg(path: Path, *, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)).save(path)


def save_values(path: Path, values: NDArray[Any], *, sixteen: bool = False) -> None:
    """A PNG of one channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint16 if sixteen else np.uint8)).save(path)


@dataclass(frozen=True)
class TruthTeller:
    """Answers from the scenes, by the photo's file name without its folder.

    Attributes:
        scenes: file name -> scene.
        shift: moves everything that many pixels to the right.
        renamed: class -> what it says instead.
    """

    scenes: Mapping[str, Painted]
    shift: int = 0
    renamed: Mapping[str, str] = field(default_factory=dict)
    extra: Sequence[tuple[str, tuple[float, float, float, float], float]] = ()
    spec: LabelerSpec = field(default_factory=lambda: LabelerSpec("teller", "1", makes_boxes=True, uses_names=True))
    opened: list[str] = field(default_factory=list)

    def open(self, photo: Photo) -> Told:
        self.opened.append(photo.key)
        photo.pixels()
        return Told(self, self.scenes[Path(photo.key).name])


@dataclass(frozen=True)
class Told:
    labeler: TruthTeller
    true: Painted

    def _segments(self, vocabulary: Vocabulary) -> tuple[NDArray[np.int32], dict[int, str]]:
        ids = np.zeros_like(self.true.ids)
        ids[:, self.labeler.shift :] = self.true.ids[:, : WIDTH - self.labeler.shift]
        names = {key: self.labeler.renamed.get(name, name) for key, name in self.true.names.items()}
        names = {key: name for key, name in names.items() if name in vocabulary.names and (ids == key).any()}
        return np.where(np.isin(ids, list(names)), ids, 0).astype(np.int32), names

    def scene(
        self, vocabulary: Vocabulary, *, panoptic: bool = False, semantic: bool = False, top: int | None = None
    ) -> Scene:
        ids, names = self._segments(vocabulary)
        stuff = {entry.name: entry.stuff for entry in vocabulary.entries}
        things = [key for key, name in names.items() if not stuff[name]]
        shapes = [masks.encode(ids == key) for key in things]
        rows = [(names[key], masks.box_xyxy(shape), shape, 0.9) for key, shape in zip(things, shapes, strict=True)]
        for name, box, score in self.labeler.extra:
            shape = np.zeros((HEIGHT, WIDTH), bool)
            x0, y0, x1, y1 = map(int, box)
            shape[y0:y1, x0:x1] = True
            rows.append((name, np.array(box, np.float32), masks.encode(shape), score))
        rows = sorted(rows, key=lambda row: -row[3])[:top]
        instances = Instances(
            Boxes(np.array([row[1] for row in rows], np.float32).reshape(-1, 4), tuple(row[0] for row in rows)),
            tuple(row[2] for row in rows),
            np.array([row[3] for row in rows], np.float32),
            (Status.OK,) * len(rows),
        )
        cut = PanopticMap(ids, tuple(Segment(key, name, not stuff[name], 0.9) for key, name in names.items()))
        classes = np.full(ids.shape, -1, np.int32)
        for key, name in names.items():
            classes[ids == key] = vocabulary.names.index(name)
        return Scene(instances, cut if panoptic else None, classes if semantic else None)

    def detections(self, vocabulary: Vocabulary, *, top: int | None = None) -> tuple[Boxes, NDArray[np.float32]]:
        found = self.scene(vocabulary, top=top).instances
        return found.boxes, found.scores

    def rank_names(self, boxes: Boxes, vocabulary: Vocabulary) -> NDArray[np.float32]:
        return np.full((len(boxes), len(vocabulary.entries)), np.nan, np.float32)

    def propose(self, vocabulary: Vocabulary) -> Instances:
        return self.scene(vocabulary).instances

    def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Instances:
        raise NotImplementedError
