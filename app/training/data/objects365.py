"""Objects365 v2 in its official layout: ``zhiyuan_objv2_train.json`` and photos in folders ``patch0`` to ``patch50``.

The JSON calls photos ``images/v1/patch8/objects365_v1_00420917.jpg``; unpacked they lie in ``patch8/``, in whatever
folder the archives were unpacked into. Layout from its documentation, not run on the real set.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from app.training.data.classes import slash_synonyms
from app.training.data.coco import read_coco
from app.training.data.photo_set import PhotoSet
from labelers.photos import MissingPhoto, PhotoHeader, read_header

_PREFIX = re.compile(r"^(?:\./)?images/v\d+/")
_SPLIT = re.compile(r"zhiyuan_objv2_(\w+)\.json$")


def read_objects365(
    path: Path, *, images: Path | None, leave_out: Sequence[str] = (), limit: int | None = None, quiet: bool = True
) -> PhotoSet:
    """Boxes and names; ``Cabinet/shelf`` has the synonyms cabinet and shelf. See ``app.training.data.read_set``."""
    folders = [images] if images is not None else _folders(path)

    def find(name: str) -> PhotoHeader:
        short = _PREFIX.sub("", name)
        missing: MissingPhoto | None = None
        for folder in folders:
            for spelling in dict.fromkeys((name, short)):
                try:
                    return read_header(folder, spelling)
                except MissingPhoto as error:
                    missing = missing or error
        assert missing is not None
        raise missing

    return read_coco(
        path,
        images=images,
        masks=False,
        leave_out=leave_out,
        limit=limit,
        quiet=quiet,
        synonyms=slash_synonyms,
        find=find,
    )


def _folders(path: Path) -> list[Path]:
    """Where the patches may be: beside the JSON (or beside its folder ``annotations``), by the name of the split."""
    base = path.resolve().parent
    base = base.parent if base.name == "annotations" else base
    split = found.group(1) if (found := _SPLIT.search(path.name)) else "train"
    return [base, base / split, base / "images" / split, base / "images"]
