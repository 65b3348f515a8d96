"""From the words of the command line to what is measured: the protocols that need no box given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.convert.plan import photo_folder
from app.convert.sniff import refuse_other_formats
from app.errors import UsageError
from app.evaluation.instances import InstanceTask, InstanceTruth, coco_instances
from app.evaluation.panoptic import PanopticTask, Segmented, painted, panoptic_file
from app.evaluation.seginw import find_sets, seginw_tasks
from app.evaluation.semantic import SemanticTask, label_pngs, labels_of
from app.evaluation.task import PhotoAt, Source, Task
from app.training.data.classes import is_stuff
from exporters.coco import CocoDocument
from exporters.coco_panoptic import read_panoptic
from labelers.frames import ExifMode
from labelers.named_vocabularies import NAMES, clean_prompt, named
from labelers.vocabulary import Entry, Vocabulary

PROTOCOLS = ("instance", "detection", "panoptic", "semantic", "seginw")
"""Besides ``boxes``, which is given boxes and has its own ways (``app.evaluation.boxes``)."""

PARTLY = "photos marked partial: what was found and lies on no marked object of its class (IoU 0.5) doesn't count"


@dataclass(frozen=True)
class Asked:
    """The options.

    Attributes:
        source: the file, or a folder.
        images: folder of the photos; None: beside the file.
        panoptic_dir: folder of the PNGs; None: beside the JSON, called like it.
        stuff: COCO file with stuff masks of the same photos, for ``panoptic`` and ``semantic``.
        vocab: class list for a folder of label PNGs: a name, a file, or a list.
        first_label: pixel value of the first class there.
        prompts: ``name = text | text``.
    """

    source: Path
    images: Path | None = None
    panoptic_dir: Path | None = None
    stuff: Path | None = None
    vocab: str | None = None
    first_label: int = 0
    prompts: tuple[str, ...] = ()
    exif: ExifMode = "auto"


def tasks_for(protocol: str, asked: Asked) -> list[Task]:
    """What to measure. Raises UsageError, CocoError, VocabularyError."""
    if asked.images is not None and not asked.images.is_dir():
        raise UsageError(f"--images {asked.images} is not a folder; give the folder that holds the photos")
    if protocol == "seginw":
        return list(seginw_tasks(find_sets(asked.source)))
    if protocol == "semantic" and asked.source.is_dir():
        return [_label_folder(asked)]
    refuse_other_formats(asked.source)
    document = _open(asked.source)
    panoptic = document.annotation_count > 0 and "segments_info" in document.raw_annotation(0)
    if protocol in ("instance", "detection"):
        if panoptic:
            raise UsageError(f"{asked.source} is a panoptic file; use --protocol panoptic, or give the instances' file")
        return [_instances(protocol, document, asked)]
    source, vocabulary = _panoptic(asked) if panoptic else _painted(document, asked)
    if protocol == "panoptic":
        return [PanopticTask(source, vocabulary)]
    return [SemanticTask(labels_of(source), vocabulary)]


def _open(path: Path) -> CocoDocument:
    document = CocoDocument.open(path)
    if not document.annotation_count or not document.images:
        raise UsageError(f"{path} has no annotation of one of its images; nothing can be measured")
    return document


def _instances(protocol: str, document: CocoDocument, asked: Asked) -> InstanceTask:
    if protocol == "instance":
        _need_masks(document)
    vocabulary, labels = _classes(document, asked.prompts)
    source = _coco(document, asked, labels, with_masks=protocol == "instance")
    partial = any('"partial"' in document.image_text(image.row) for image in document.images)
    return InstanceTask(
        protocol,
        source,
        vocabulary,
        kind="masks" if protocol == "instance" else "boxes",
        notes=(PARTLY,) if partial else (),
    )


def _need_masks(document: CocoDocument) -> None:
    if not any(document.annotations(image.row).has_mask.any() for image in document.images):
        raise UsageError(
            f"{document.path} has no masks to compare with; give a file that has some, or use --protocol detection"
        )


def _classes(document: CocoDocument, prompts: Sequence[str]) -> tuple[Vocabulary, list[int]]:
    """The file's classes as a vocabulary, and the place of each category row in it."""
    names = list(dict.fromkeys(category.name for category in document.categories if category.name.strip()))
    if not names:
        raise UsageError(f'{document.path}: "categories" has no class with a name; nothing can be looked for')
    plain = Vocabulary(tuple(Entry(name, (clean_prompt(name),)) for name in names))
    vocabulary = plain.with_prompts(prompts)
    if len(vocabulary.entries) > len(names):
        raise UsageError(f"--prompt: {vocabulary.names[len(names)]!r} is no class of {document.path}")
    places = {name: k for k, name in enumerate(names)}
    return vocabulary, [places.get(category.name, -1) for category in document.categories]


def _coco(
    document: CocoDocument, asked: Asked, labels: Sequence[int], *, with_masks: bool = True, stuff: bool = False
) -> Source[InstanceTruth]:
    images = _photos(asked, [image.file_name for image in document.images])
    return coco_instances(document, images, labels=labels, exif=asked.exif, with_masks=with_masks, stuff=stuff)


def _photos(asked: Asked, names: Sequence[str]) -> Path:
    return photo_folder(asked.images, asked.source.resolve().parent, names)[0]


def _panoptic(asked: Asked) -> tuple[Source[Segmented], Vocabulary]:
    file = read_panoptic(asked.source)
    names = [category.name for category in file.categories]
    if len(set(names)) < len(names):
        raise UsageError(f"{asked.source}: two categories have the same name; give each its own")
    stuff = {category.name for category in file.categories if not category.isthing}
    vocabulary = Vocabulary(
        tuple(Entry(name, (clean_prompt(name),), stuff=name in stuff) for name in names)
    ).with_prompts(asked.prompts)
    # `with_prompts` makes things of what it replaces
    vocabulary = Vocabulary(tuple(Entry(e.name, e.prompts, e.name in stuff) for e in vocabulary.entries))
    pngs = asked.panoptic_dir or asked.source.with_suffix("")
    if not pngs.is_dir():
        raise UsageError(f"there is no folder {pngs} with the PNGs; give it with --panoptic-dir")
    images = _photos(asked, [image.file_name for image in file.images])
    labels = {category.id: k for k, category in enumerate(file.categories)}
    return panoptic_file(file, pngs, images, labels=labels, exif=asked.exif), vocabulary


def _painted(document: CocoDocument, asked: Asked) -> tuple[Source[Segmented], Vocabulary]:
    """Truth from masks: those of the file, and those of ``--stuff``."""
    _need_masks(document)
    vocabulary, labels = _classes(document, asked.prompts)
    marked = {
        category.name for category in document.categories if is_stuff(json.loads(document.category_text(category.row)))
    }
    entries = {entry.name: Entry(entry.name, entry.prompts, entry.name in marked) for entry in vocabulary.entries}
    below = None
    if asked.stuff is not None:
        other = _open(asked.stuff)
        for name in (category.name for category in other.categories if category.name.strip()):
            entries[name] = Entry(name, (clean_prompt(name),), stuff=True)
        places = {name: k for k, name in enumerate(entries)}
        below = _coco(other, asked, [places.get(category.name, -1) for category in other.categories], stuff=True)
    joined = Vocabulary(tuple(entries.values()))
    return painted(_coco(document, asked, labels), below, joined), joined


def _label_folder(asked: Asked) -> SemanticTask:
    if asked.vocab is None or asked.images is None:
        raise UsageError(f"{asked.source} is a folder of label PNGs; say what they show: --vocab NAMES --images DIR")
    vocabulary = read_vocabulary(asked.vocab)
    names = sorted(path.relative_to(asked.source).as_posix() for path in asked.source.rglob("*.png"))
    if not names:
        raise UsageError(f"{asked.source} holds no PNG")
    beside = {
        path.relative_to(asked.images).with_suffix("").as_posix(): path.relative_to(asked.images).as_posix()
        for path in sorted(asked.images.rglob("*"))
        if path.is_file()
    }
    photos = [PhotoAt(asked.images, beside.get(name.removesuffix(".png"), name)) for name in names]
    source = label_pngs(
        photos,
        [(asked.source, name) for name in names],
        labels={asked.first_label + k: k for k in range(len(vocabulary.entries))},
        exif=asked.exif,
    )
    return SemanticTask(source, vocabulary)


def read_vocabulary(text: str) -> Vocabulary:
    """A named list, a file, or a comma separated list. Raises VocabularyError."""
    if text.strip().lower().replace("_", "-") in NAMES:
        return named(text)
    path = Path(text)
    if len(text) < 1024 and path.is_file():
        return Vocabulary.parse(path.read_text("utf-8"))
    return Vocabulary.inline(text)
