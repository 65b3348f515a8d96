"""``propose --for-boxes``: ranked names for the boxes of a COCO file, and flags on the names that look wrong."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from app.convert.conversion import labeler_of
from app.convert.plan import UNKNOWN_NAME
from app.convert.progress import bar
from app.errors import UsageError
from app.propose.asking import answer_each, open_scene, unfinished
from app.propose.proposing import check_able, open_journal, refuse_to_lose, vocabulary_of
from app.propose.settings import Settings
from app.propose.sources import Asked, Source, open_source
from app.propose.summary import listed
from exporters.coco import CocoDocument, Edit
from exporters.files import replacing
from labelers.journal import Journal
from labelers.name_check import check_names
from labelers.protocol import Labeler
from labelers.records import Photo

NAMED, LISTED = "names.json", "names.csv"

_SHOWN = 20
_COLUMNS = ("annotation", "photo", "name", "score", "doubt", "flagged", "candidate", "candidate_score")


@dataclass(frozen=True)
class NamedBox:
    """One box of the report. ``annotation``: its id as JSON text; ``name``: None where it has none."""

    annotation: str
    photo: str
    name: str | None
    given_score: float | None
    doubt: float | None
    flagged: bool
    candidates: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class NamesSummary:
    """One run. ``counts``: boxes, named, nameless, flagged, unusable, photos, unreadable, resumed."""

    source: str
    outputs: tuple[str, ...]
    labeler: tuple[str, str]
    margin: float
    counts: Mapping[str, int]
    flagged: tuple[NamedBox, ...]
    problems: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """1 if a photo could not be done. Flags are what was asked for, and no failure."""
        return 1 if self.problems else 0


def name_boxes(settings: Settings, *, labeler: Labeler | None = None, quiet: bool = True) -> NamesSummary:
    """Rank names for every box, or go on with a run that was interrupted. Raises what ``propose`` raises."""
    refuse_to_lose(settings, [NAMED, LISTED])
    with closing(open_source(settings)) as source:
        document = source.document
        if document is None:
            raise UsageError(f"--for-boxes needs boxes, and {settings.source} has none; give a COCO file")
        vocabulary = vocabulary_of(settings, source)
        labeler = labeler or labeler_of(settings)
        check_able(labeler.spec, settings)

        def work(asked: Asked, photo: Photo) -> dict[str, Any]:
            boxes = asked.existing.boxes
            given = [None if name == UNKNOWN_NAME else name for name in boxes.names]
            scores: NDArray[np.float32] = np.zeros((0, len(vocabulary.entries)), np.float32)
            if len(boxes):
                scores = open_scene(labeler, photo).rank_names(boxes, vocabulary)
            checks = check_names(scores, given, vocabulary, margin=settings.margin)
            rows = [{"row": row, **asdict(check)} for row, check in zip(asked.rows, checks, strict=True)]
            return {"rows": rows, "note": asked.frame.note, "error": None}

        with open_journal(settings, source, labeler.spec, vocabulary) as journal:
            waiting = unfinished(source.items, journal)
            resumed = len(source.items) - len(waiting)
            with bar(total=len(source.items), done=resumed, unit="photos", what="naming", quiet=quiet) as progress:
                answer_each(
                    source, waiting, journal, work, exif=settings.exif, with_masks=False, on_photo=progress.update
                )
            outputs = [settings.output / NAMED, settings.output / LISTED]
            summary = _summarise(settings, source, document, journal, labeler, resumed, outputs)
            _write_table(outputs[1], list(_boxes(source, document, journal)))
            _write_document(outputs[0], source, document, journal)
            journal.remove()
    return summary


def _rows(source: Source, journal: Journal) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file name, what was found) of each box, in the order of the photos."""
    for item in source.items:
        for found in journal.read(item.key).get("rows", ()):
            yield item.file_name, found


def _boxes(source: Source, document: CocoDocument, journal: Journal) -> Iterator[NamedBox]:
    for photo, found in _rows(source, journal):
        yield NamedBox(
            annotation=document.annotation_key(found["row"]),
            photo=photo,
            name=found["given"],
            given_score=found["given_score"],
            doubt=found["doubt"],
            flagged=found["flagged"],
            candidates=tuple((name, score) for name, score in found["candidates"]),
        )


def _write_document(path: Path, source: Source, document: CocoDocument, journal: Journal) -> None:
    """The input with the candidates in its annotations; all other bytes are the input's."""
    edits: dict[int, Edit] = {}
    for _, found in _rows(source, journal):
        if not found["candidates"]:
            continue
        values: dict[str, Any] = {
            "name_candidates": [{"name": name, "score": score} for name, score in found["candidates"]]
        }
        if found["doubt"] is not None:
            values["name_doubt"], values["flagged"] = found["doubt"], found["flagged"]
        edits[found["row"]] = Edit(values=values)
    document.write(path, edits.get)


def _write_table(path: Path, boxes: list[NamedBox]) -> None:
    """Most doubtful first, then the boxes without a name, in file order."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(_COLUMNS)
    for box in sorted(boxes, key=lambda one: 2.0 if one.doubt is None else -one.doubt):
        best = next((c for c in box.candidates if c[0] != box.name), ("", ""))
        values = (box.annotation, box.photo, box.name or "", box.given_score, box.doubt, int(box.flagged), *best)
        table.writerow([_cell(value) for value in values])
    with replacing(path) as file:
        file.write(text.getvalue().encode("utf-8", "replace"))


def _cell(value: Any) -> Any:
    """Texts that a spreadsheet would run as a formula are quoted: names come from somebody's file."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value


def _summarise(
    settings: Settings,
    source: Source,
    document: CocoDocument,
    journal: Journal,
    labeler: Labeler,
    resumed: int,
    outputs: list[Path],
) -> NamesSummary:
    boxes = list(_boxes(source, document, journal))
    payloads = [(item.file_name, journal.read(item.key)) for item in source.items]
    problems = tuple((name, found["error"]) for name, found in payloads if found["error"] is not None)
    notes = [f"photo {name!r}: {found['note']}" for name, found in payloads if found["note"]]
    flagged = sorted((box for box in boxes if box.flagged), key=lambda box: -(box.doubt or 0))
    return NamesSummary(
        source=str(settings.source),
        outputs=tuple(str(path) for path in outputs),
        labeler=(labeler.spec.name, labeler.spec.version),
        margin=settings.margin,
        counts={
            "boxes": len(boxes),
            "named": sum(box.doubt is not None for box in boxes),
            "nameless": sum(box.doubt is None and bool(box.candidates) for box in boxes),
            "flagged": len(flagged),
            "unusable": sum(not box.candidates for box in boxes),
            "photos": len(source.items),
            "unreadable": len(problems),
            "resumed": resumed,
        },
        flagged=tuple(flagged),
        problems=problems,
        notes=(*source.notes, *document.problems, *notes),
    )


def print_names(
    summary: NamesSummary, *, as_json: bool, quiet: bool, verbose: bool, out: IO[str], err: IO[str]
) -> None:
    """JSON on ``out``, or words on ``err``."""
    if as_json:
        json.dump({**asdict(summary), "exit_code": summary.exit_code}, out, indent=2)
        out.write("\n")
    if quiet:
        return
    shown = None if verbose else _SHOWN
    doubts = [
        f"annotation {box.annotation} of {box.photo!r}: {box.name!r} ({box.given_score:.2f}), "
        f"rather {box.candidates[0][0]!r} ({box.candidates[0][1]:.2f})"
        for box in summary.flagged
    ]
    lines = listed("not done", [f"{name}: {reason}" for name, reason in summary.problems], shown)
    lines += listed("notes", list(summary.notes), shown)
    lines += listed("names to look at", doubts, shown)
    counts = summary.counts
    lines.append(f"{counts['boxes']:,} boxes on {counts['photos']:,} photos of {summary.source}")
    for name, text in (
        ("named", f"have a name; {counts['flagged']:,} of them are flagged (margin {summary.margin:g})"),
        ("nameless", "have no name that is among the classes: see their candidates"),
        ("unusable", "boxes can't be used: no area, or outside the photo"),
        ("resumed", "photos were already done by an earlier run"),
    ):
        if counts[name]:
            lines.append(f"  {counts[name]:>9,}  {text}")
    lines += [f"wrote {path}" for path in summary.outputs]
    err.write("\n".join(lines) + "\n")
