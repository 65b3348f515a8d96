"""BDD100K, the 10k photos with segmentation: panoptic with 40 classes, semantic with 19."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from app.evaluation.panoptic import PanopticTask, Segmented
from app.evaluation.semantic import SemanticTask, label_pngs
from app.evaluation.suites.suite import NOT_VERIFIED, Resize, Suite, check, files_in
from app.evaluation.task import PhotoAt, Source, Task
from labelers.named_vocabularies import named
from labelers.paths import find_photo
from labelers.photos import PhotoError, PhotoHeader

LAYOUT = {
    "images/10k/val": "1,000 photos (10K Images)",
    "labels/sem_seg/masks/val": "PNGs, 0 to 18 are the classes and 255 is nothing (Segmentation)",
    "labels/pan_seg/bitmasks/val": "PNGs of four channels: class, attributes, number (Panoptic Segmentation)",
}


def tasks(root: Path) -> list[Task]:
    check(root, "bdd", LAYOUT)
    photos, semantic = root / "images" / "10k" / "val", root / "labels" / "sem_seg" / "masks" / "val"
    panoptic = root / "labels" / "pan_seg" / "bitmasks" / "val"
    many, few = named("bdd-40"), named("bdd-19")
    cut, classed = files_in(panoptic, "*.png"), files_in(semantic, "*.png")
    places = [[PhotoAt(photos, str(Path(name).with_suffix(".jpg"))) for name in names] for names in (cut, classed)]
    return [
        PanopticTask(bitmasks(places[0], panoptic, cut, stuff=[entry.stuff for entry in many.entries]), many),
        SemanticTask(
            label_pngs(places[1], [(semantic, name) for name in classed], labels={k: k for k in range(19)}), few
        ),
    ]


def bitmasks(
    photos: Sequence[PhotoAt], folder: Path, names: Sequence[str], *, stuff: Sequence[bool]
) -> Source[Segmented]:
    """BDD100K's own code: red is the class from 1, green are attributes, blue and alpha the number.

    Of the attributes, bit 1 is a crowd and bit 0 is ignored (void). Stuff is one segment for each class.
    """

    def read(index: int, header: PhotoHeader) -> Segmented:
        colours = _colours(folder, names[index])
        if colours.shape[:2] != (header.height, header.width):
            raise PhotoError(
                header.source,
                f"{header.width} x {header.height}, but its bitmask is {colours.shape[1]} x {colours.shape[0]}",
                "give the photo that was annotated",
            )
        red, green, blue, alpha = (colours[..., k].astype(np.int64) for k in range(4))
        label = red - 1
        there = (label >= 0) & (label < len(stuff)) & (green & 1 == 0)
        is_stuff = np.append(np.asarray(stuff, bool), True)[np.where(there, label, -1)]
        number = np.where(is_stuff, 0, blue * 256 + alpha)
        crowded = np.where(is_stuff, 0, green >> 1 & 1)
        codes, ids = np.unique(np.where(there, (label * 2 + crowded) * 65536 + number, -1), return_inverse=True)
        ids = ids.reshape(there.shape).astype(np.int32) + int(codes[0] != -1)
        labels = {k + int(codes[0] != -1): int(code) // 131072 for k, code in enumerate(codes.tolist()) if code >= 0}
        crowd = {k + int(codes[0] != -1) for k, code in enumerate(codes.tolist()) if code >= 0 and code // 65536 % 2}
        return Segmented(ids, labels, frozenset(crowd))

    return Source(tuple(photos), read)


def _colours(folder: Path, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    source, remedy = str(folder / name), "unpack the archive again"
    try:
        with Image.open(find_photo(folder, name), formats=("PNG",)) as image:
            if image.mode != "RGBA":
                raise PhotoError(source, f"mode {image.mode}; a bitmask has four channels (RGBA)", remedy)
            return np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise PhotoError(source, f"it can't be read as PNG ({error})", remedy) from error


SUITE = Suite(
    "bdd",
    "BDD100K val",
    LAYOUT,
    Resize(800, bicubic=True),
    tasks,
    (),
    ("panoptic truth is read from the bitmasks, stuff joined to one segment a class", NOT_VERIFIED),
)
