"""What every contestant gets: JPEG files of known sizes and seeded random boxes on them.

Boxes: the longer side is log-uniform between 16 pixels and 80 % of the photo's longer side, so small boxes are as
frequent as in common detection sets; longer : shorter side log-uniform between 1 and 2.5, lying or standing with
equal chance; the place is uniform. All of it follows from the seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

BUNDLED = Path(__file__).resolve().parents[1] / "app" / "examples" / "photos"
NAMES = ("person", "cat", "cup", "car", "dog")
SMALLEST_SIDE = 16.0
LARGEST_SHARE = 0.8
LONGEST_SHAPE = 2.5
SEED = 20260


@dataclass(frozen=True)
class SpeedPhoto:
    """A photo with boxes, as it is sent to a worker.

    Attributes:
        path: absolute path of a JPEG file.
        height, width: its size.
        boxes: xyxy pixels, inside the photo.
        names: a class name for each box.
    """

    path: str
    height: int
    width: int
    boxes: tuple[tuple[float, float, float, float], ...]
    names: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> SpeedPhoto:
        boxes = tuple(tuple(float(side) for side in box) for box in value["boxes"])
        return SpeedPhoto(value["path"], value["height"], value["width"], boxes, tuple(value["names"]))  # type: ignore[arg-type]

    def first(self, count: int) -> SpeedPhoto:
        """The same photo with its first ``count`` boxes only."""
        return SpeedPhoto(self.path, self.height, self.width, self.boxes[:count], self.names[:count])


def parse_size(text: str) -> tuple[int, int]:
    """``WIDTHxHEIGHT`` to (width, height). Raises ValueError."""
    width, separator, height = text.lower().partition("x")
    if not separator or not width.isdigit() or not height.isdigit() or min(int(width), int(height)) < 1:
        raise ValueError(f"{text!r} is not a size; write WIDTHxHEIGHT, for example 640x480")
    return int(width), int(height)


def find_photos(folder: Path, *, limit: int | None) -> list[Path]:
    """The JPEG files of a folder, by name. Raises FileNotFoundError if there is none."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))[:limit]
    if not found:
        raise FileNotFoundError(f"{folder} has no JPEG file; give another folder with --photos")
    return found


def resized(sources: Sequence[Path], size: tuple[int, int], folder: Path) -> list[Path]:
    """Copies of the photos, cut to the shape and scaled to ``size`` (width, height), as JPEG files in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for k, source in enumerate(sources):
        with Image.open(source) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        target = folder / f"{k:03d}-{source.stem}-{size[0]}x{size[1]}.jpg"
        ImageOps.fit(upright, size, Image.Resampling.BICUBIC).save(target, quality=90)
        made.append(target)
    return made


def with_boxes(paths: Sequence[Path], *, count: int, seed: int = SEED) -> list[SpeedPhoto]:
    """The photos with ``count`` random boxes each."""
    photos = []
    for k, path in enumerate(paths):
        with Image.open(path) as image:
            width, height = ImageOps.exif_transpose(image).size
        random = np.random.default_rng([seed, k])
        boxes = tuple(random_box(random, height=height, width=width) for _ in range(count))
        names = tuple(NAMES[int(i)] for i in random.integers(0, len(NAMES), count))
        photos.append(SpeedPhoto(str(path.resolve()), height, width, boxes, names))
    return photos


def random_box(random: np.random.Generator, *, height: int, width: int) -> tuple[float, float, float, float]:
    """One box xyxy inside the photo; see the module's text for the distribution."""
    most = max(LARGEST_SHARE * max(height, width), 1.0)
    longer = math.exp(random.uniform(math.log(min(SMALLEST_SIDE, most)), math.log(most)))
    shorter = longer / math.exp(random.uniform(0, math.log(LONGEST_SHAPE)))
    box_width, box_height = (longer, shorter) if random.random() < 0.5 else (shorter, longer)
    box_width, box_height = min(box_width, width), min(box_height, height)
    x0, y0 = random.uniform(0, width - box_width), random.uniform(0, height - box_height)
    return x0, y0, x0 + box_width, y0 + box_height
