"""The types that every room shares: photo, boxes, instances. Numpy only.

Boxes are always xyxy float32 pixels of the EXIF-upright photo: (x0, y0) is the top-left corner of the
top-left pixel covered, (x1, y1) the bottom-right corner of the last one, so a box around pixel (0, 0)
alone is (0, 0, 1, 1). Other conventions (COCO xywh, percent, cxcywh) are converted at the edges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray


class RLE(TypedDict):
    """COCO run-length encoding: ``size`` is [height, width], ``counts`` the compressed bytes of pycocotools."""

    size: list[int]
    counts: bytes


class Status(Enum):
    """What became of one row. Only ``OK`` rows carry a mask."""

    OK = "ok"
    EMPTY = "empty"  # a valid box, but the labeler found no pixel
    DEGENERATE = "degenerate"  # zero or negative size, NaN, infinite
    OUTSIDE = "outside"  # no overlap with the photo
    FAILED = "failed"  # the labeler raised; the reason says what


@dataclass(frozen=True)
class Photo:
    """One photograph. Pixels are decoded on demand, upright, and may be dropped after use.

    Attributes:
        key: what identifies the photo in its dataset (COCO: the image id as text).
        source: where it came from, for messages (a path or URL).
        height, width: size in pixels after applying the EXIF orientation.
        load: returns uint8 RGB [height, width, 3], upright.
    """

    key: str
    source: str
    height: int
    width: int
    load: Callable[[], NDArray[np.uint8]] = field(repr=False, compare=False)

    def pixels(self) -> NDArray[np.uint8]:
        """Decode now: uint8 RGB [height, width, 3] of the upright photo."""
        image = self.load()
        if image.dtype != np.uint8 or image.shape != (self.height, self.width, 3):
            raise ValueError(
                f"photo {self.source}: expected uint8 [{self.height}, {self.width}, 3], "
                f"got {image.dtype} {list(image.shape)}; the file changed since it was opened"
            )
        return image


@dataclass(frozen=True)
class Boxes:
    """N boxes with a class name each.

    Attributes:
        xyxy: float32 [N, 4], pixels of the upright photo; may hold NaN or lie outside (see ``problems``).
        names: N class names.
    """

    xyxy: NDArray[np.float32]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        xyxy = np.asarray(self.xyxy, dtype=np.float32).reshape(-1, 4)
        object.__setattr__(self, "xyxy", xyxy)
        object.__setattr__(self, "names", tuple(self.names))
        if len(xyxy) != len(self.names):
            raise ValueError(f"{len(xyxy)} boxes but {len(self.names)} names: one name is needed for each box")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: Sequence[int] | NDArray[np.intp] | slice) -> Boxes:
        index = np.arange(len(self))[rows]
        return Boxes(self.xyxy[index], tuple(self.names[int(i)] for i in index))

    def problems(self, *, height: int, width: int) -> list[tuple[Status, str] | None]:
        """Why each box can't be labelled, or None where it can. Same order and length as the boxes."""
        found: list[tuple[Status, str] | None] = []
        finite = np.all(np.isfinite(self.xyxy), axis=1)
        for (x0, y0, x1, y1), known in zip(self.xyxy.tolist(), finite, strict=True):
            if not known:
                found.append((Status.DEGENERATE, "box has NaN or infinite coordinates"))
            elif x1 <= x0 or y1 <= y0:
                found.append((Status.DEGENERATE, f"box has no area ({x1 - x0:g} x {y1 - y0:g} pixels)"))
            elif min(x1, width) <= max(x0, 0) or min(y1, height) <= max(y0, 0):
                found.append((Status.OUTSIDE, f"box lies outside the {width} x {height} photo"))
            else:
                found.append(None)
        return found

    def clamped(self, *, height: int, width: int) -> Boxes:
        """The boxes cut to the photo; NaN stays NaN."""
        limit = np.array([width, height, width, height], dtype=np.float32)
        return replace(self, xyxy=np.clip(self.xyxy, 0, limit))


@dataclass(frozen=True)
class Instances:
    """What a labeler returns. Row k belongs to row k of the boxes it was given, always.

    Attributes:
        boxes: the N boxes (given, or proposed by the labeler).
        masks: N COCO RLEs at photo size, None where there is no mask.
        scores: float32 [N] in [0, 1], how good the labeler believes the row to be; 0 where not OK.
        status: N outcomes.
        reasons: N texts, empty where OK.
    """

    boxes: Boxes
    masks: tuple[RLE | None, ...]
    scores: NDArray[np.float32]
    status: tuple[Status, ...]
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.boxes)
        object.__setattr__(self, "masks", tuple(self.masks))
        object.__setattr__(self, "status", tuple(self.status))
        object.__setattr__(self, "reasons", tuple(self.reasons) or ("",) * n)
        object.__setattr__(self, "scores", np.asarray(self.scores, dtype=np.float32).reshape(-1))
        for name in ("masks", "scores", "status", "reasons"):
            if len(getattr(self, name)) != n:
                raise ValueError(f"Instances: {n} boxes but {len(getattr(self, name))} {name}")
        for k, (mask, status) in enumerate(zip(self.masks, self.status, strict=True)):
            if (mask is not None) != (status is Status.OK):
                raise ValueError(f"Instances row {k}: status {status.value} with a mask of {type(mask).__name__}")

    def __len__(self) -> int:
        return len(self.boxes)

    @staticmethod
    def none_of(boxes: Boxes, status: Status, reason: str) -> Instances:
        """All rows without a mask, for one reason (an unreadable photo, say)."""
        n = len(boxes)
        return Instances(boxes, (None,) * n, np.zeros(n, np.float32), (status,) * n, (reason,) * n)
