"""From the elements of a COCO document to rows of the store. Pure: no database here.

What the program does not use stays in ``raw`` as written, so that export can give it back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from app.reports.colours import colour_at
from app.store.records import Box, State
from exporters import masks
from exporters.coco import PROVENANCE_KEY, Annotations, Category, CocoDocument, ImageRow
from exporters.coco_columns import Problems
from labelers.frames import ExifMode, Frame, decide
from labelers.orientation import boxes_to_upright
from labelers.paths import find_photo
from labelers.photos import MAX_PIXELS, MissingPhoto, PhotoError, read_header

Row = dict[str, Any]
"""Column -> value of one table row."""

IMPORTER = "import"
"""Author of what nobody has changed yet."""

_LONGEST_NAME = 200  # of authors and models in somebody's file


@dataclass(frozen=True, slots=True)
class Look:
    """What the import knows of one photo.

    Attributes:
        frame: of the document's boxes; its size is 0 x 0 where nobody knows it.
        orientation: EXIF orientation of the file, 1 where it can't be read.
        width, height: upright size.
        file_size: bytes, None where the file is missing.
        problem: what the user should know, None where all is well.
    """

    frame: Frame
    orientation: int
    width: int
    height: int
    file_size: int | None
    problem: str | None


def look(images_root: Path, image: ImageRow, exif: ExifMode) -> Look:
    """Read the photo's header and decide the frame. A photo that can't be read is no error: its boxes are kept."""
    try:
        header = read_header(images_root, image.file_name)
        size = find_photo(images_root, image.file_name).stat().st_size
    except (PhotoError, OSError) as error:
        width, height = image.width or 0, image.height or 0
        if width * height > MAX_PIXELS or not (width and height):
            width = height = 0
        return Look(Frame(1, height, width), 1, width, height, None, _describe(error))
    frame = decide(header, image.width, image.height, exif)
    return Look(frame, header.orientation, header.width, header.height, size, frame.note)


def _describe(error: PhotoError | OSError) -> str:
    """Why a photo can't be used, without the server's folders: annotators read it in their browser."""
    if isinstance(error, MissingPhoto):
        return "the photo is not in the image folder"
    return error.reason if isinstance(error, PhotoError) else (error.strerror or "the photo can't be read")


def image_values(image: ImageRow, found: Look, *, raw: str | None, source_key: str | None, position: int) -> Row:
    """A row of ``images``, without its project."""
    return {
        "position": position,
        "shuffle": shuffled(f"{source_key} {image.file_name}"),
        "reviewed": False,
        "file_name": image.file_name,
        "width": found.width,
        "height": found.height,
        "orientation": found.orientation,
        "frame_orientation": found.frame.orientation,
        "frame_width": found.frame.width,
        "frame_height": found.frame.height,
        "file_size": found.file_size,
        "problem": found.problem,
        "source_key": source_key,
        "raw": raw,
    }


def shuffled(text: str) -> int:
    """A place in the random order that depends on the photo alone, 31 bits."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1


def category_values(category: Category, *, raw: str | None, source_id: str | None, position: int) -> Row:
    """A row of ``categories``, without its project."""
    return {
        "position": position,
        "source_id": source_id,
        "name": category.name,
        "colour": colour_at(position),
        "synonyms": "[]",
        "raw": raw,
    }


def category_key(category: Category) -> str | None:
    """The id as JSON text; None where it is none that an annotation can name."""
    usable = category.id is not None and not isinstance(category.id, list | dict)
    return json.dumps(category.id) if usable else None


def annotation_rows(
    document: CocoDocument, annotations: Annotations, frame: Frame, problems: Problems
) -> Iterator[tuple[int, Row]]:
    """(document row, row of ``annotations``) for the annotations of one photo; without project, image and class.

    What can't be read as a box or a mask is None in the row, and noted in ``problems``.
    """
    boxes = _boxes(annotations, frame)
    for k, row in enumerate(annotations.rows.tolist()):
        text = document.annotation_text(row)
        element: dict[str, Any] = json.loads(text)
        counts, form = None, "auto"
        if annotations.has_mask[k]:
            segmentation = element.get("segmentation")
            counts = _counts(segmentation, frame, problems, annotations.keys[k])
            form = "rle" if counts and isinstance(segmentation, dict) else "auto"
        box = boxes[k]
        said = provenance_of(element, has_mask=counts is not None)
        yield (
            row,
            {
                "position": row,
                "version": 1,
                "deleted": False,
                "state": said.state.value,
                "quality": said.quality,
                "author": said.author,
                "source": said.source,
                "form": form,
                "simplify": 0.0,
                "iscrowd": bool(annotations.iscrowd[k]),
                "x0": box and box[0],
                "y0": box and box[1],
                "x1": box and box[2],
                "y1": box and box[3],
                "box_changed": False,
                "mask_changed": False,
                "category_changed": False,
                "source_key": annotations.keys[k] if document.has_ids else None,
                "counts": counts,
                "raw": text,
            },
        )


def _boxes(annotations: Annotations, frame: Frame) -> list[Box | None]:
    """Upright xyxy for each annotation, None where the file has no box with an area."""
    with np.errstate(over="ignore", invalid="ignore"):  # 1e308 in somebody's file becomes infinity, which is no box
        corners = np.concatenate([annotations.xywh[:, :2], annotations.xywh[:, :2] + annotations.xywh[:, 2:]], axis=1)
        upright = boxes_to_upright(corners, frame.orientation, raw_height=frame.height, raw_width=frame.width)
        usable = np.isfinite(upright).all(axis=1) & (upright[:, 2:] > upright[:, :2]).all(axis=1)
    return [
        (box[0], box[1], box[2], box[3]) if good else None
        for box, good in zip(upright.tolist(), usable.tolist(), strict=True)
    ]


def _counts(segmentation: Any, frame: Frame, problems: Problems, key: str) -> str | None:
    """Compressed counts of the upright mask."""
    if not frame.height:
        problems.add("masks of photos of unknown size, kept in the file's words only", f"annotation {key}")
        return None
    try:
        mask = masks.from_coco(segmentation, frame.height, frame.width)
    except masks.MaskError as error:
        problems.add("segmentations that can't be read (their text is kept)", f"annotation {key} ({error})")
        return None
    if mask is None:
        problems.add("segmentations without a pixel in the photo (their text is kept)", f"annotation {key}")
        return None
    return frame.mask_to_upright(mask)["counts"].decode("ascii")


@dataclass(frozen=True)
class Provenance:
    """What an element's ``openseed_label`` key says of it, with defaults where it says nothing usable."""

    state: State
    quality: float | None
    author: str
    source: str


def provenance_of(element: dict[str, Any], *, has_mask: bool) -> Provenance:
    """Read what ``coco_export`` and ``convert-boxes`` write. Anything may stand there in somebody's file."""
    said = element.get(PROVENANCE_KEY)
    if not isinstance(said, dict):
        return Provenance(State.PROPOSED, None, IMPORTER, "imported")
    state, score, labeler = said.get("state"), said.get("score"), said.get("labeler")
    source = said.get("source")
    if not (_is_name(source) and (source in ("imported", "human") or source.startswith("model:"))):
        source = f"model:{labeler}" if has_mask and _is_name(labeler) else "imported"
    quality = None
    if isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1:
        quality = float(score)
    author = said.get("author")
    return Provenance(
        state=State(state) if isinstance(state, str) and state in set(State) else State.PROPOSED,
        quality=quality,
        author=author if _is_name(author) else IMPORTER,
        source=source,
    )


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= _LONGEST_NAME
