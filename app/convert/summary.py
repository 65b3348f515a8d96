"""What a conversion did, in words and as JSON. No clock times: the same run gives the same text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any

from app.convert.ledger import Ledger
from app.convert.plan import Plan, State
from labelers.protocol import LabelerSpec

_SHOWN = 20

WORDS = {
    State.TODO: "would be converted",
    State.CONVERTED: "converted",
    State.KEPT: "kept: they have a mask (--redo makes new ones)",
    State.CROWD: "kept: crowd regions",
    State.LEFT_OUT: "left out by --categories or --limit",
    State.EMPTY: "not converted: no pixel was found in the box",
    State.DEGENERATE: "not converted: the box has no area",
    State.OUTSIDE: "not converted: the box lies outside the photo",
    State.FAILED: "not converted: the labeler failed",
    State.NO_PHOTO: "not converted: the photo could not be read",
    State.NO_IMAGE: "not converted: the image_id is not in the file",
    State.POOR: "not converted: the mask's quality is below --min-quality",
}
GOOD = frozenset({State.TODO, State.CONVERTED, State.KEPT, State.CROWD, State.LEFT_OUT})


@dataclass(frozen=True)
class Problem:
    """One annotation that was not converted. Ids as JSON writes them; ``image`` and ``file`` are None if unknown."""

    annotation: str
    image: str | None
    file: str | None
    outcome: str
    reason: str


@dataclass(frozen=True)
class Summary:
    """One conversion.

    Attributes:
        source, output, report: files, as text; output and report are None where nothing was written.
        labeler: (name, version), None for a dry run.
        annotations: counts by outcome, all of them.
        photos: counts: in the file, asked for, unreadable, resumed (done by an earlier run).
        problems: what was not converted, in file order; an unreadable photo stands once, not once a box.
        mismatches: photos whose width and height contradict the file.
        notes: everything else worth knowing.
    """

    source: str
    output: str | None
    report: str | None
    labeler: tuple[str, str] | None
    annotations: Mapping[str, int]
    photos: Mapping[str, int]
    mean_score: float | None
    problems: tuple[Problem, ...]
    mismatches: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """1 if anything that was asked for could not be done, or is doubtful."""
        return 1 if self.problems or self.mismatches else 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON. ``from_dict`` is its inverse."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Summary:
        known = dict(values)
        known["problems"] = tuple(Problem(**problem) for problem in known["problems"])
        known["labeler"] = tuple(known["labeler"]) if known["labeler"] else None
        known["mismatches"], known["notes"] = tuple(known["mismatches"]), tuple(known["notes"])
        return Summary(**known)


def summarise(
    plan: Plan, ledger: Ledger, *, spec: LabelerSpec | None, resumed: int = 0, filled: int = 0, written: bool
) -> Summary:
    """Count and list. ``filled``: masks whose holes the polygons could not keep."""
    settings, document = plan.settings, plan.document
    converted = ledger.count(State.CONVERTED)
    unreadable = {int(plan.image_of[row]) for row in ledger.rows(State.NO_PHOTO)}
    notes = [f"photo {document.images[row].file_name!r}: {text}" for row, text in ledger.notes.items()]
    holes = f"{filled:,} masks with holes became outer polygons; use --format rle to keep the holes"
    wrong = [text for row, text in zip(ledger.notes, notes, strict=True) if row in ledger.mismatched]
    return Summary(
        source=str(settings.source),
        output=str(settings.output) if written else None,
        report=str(settings.report) if written and settings.report else None,
        labeler=(spec.name, spec.version) if spec else None,
        annotations={state.name.lower(): n for state in State if (n := ledger.count(state))},
        photos={
            "in_file": len(document.images),
            "asked": len(plan.todo),
            "unreadable": len(unreadable),
            "resumed": resumed,
        },
        mean_score=round(ledger.total(State.CONVERTED) / converted, 4) if converted else None,
        problems=_problems(plan, ledger),
        mismatches=tuple(wrong),
        notes=(
            *plan.notes,
            *document.problems,
            *([holes] if filled else []),
            *(text for row, text in zip(ledger.notes, notes, strict=True) if row not in ledger.mismatched),
        ),
    )


def _problems(plan: Plan, ledger: Ledger) -> tuple[Problem, ...]:
    document = plan.document
    found = []
    unreadable: set[int] = set()
    for row in sorted(ledger.reasons):
        image_row = int(plan.image_of[row])
        state = State(ledger.state[row])
        if state is State.NO_PHOTO:
            if image_row in unreadable:
                continue
            unreadable.add(image_row)
        image = document.images[image_row] if image_row >= 0 else None
        found.append(
            Problem(
                annotation=document.annotation_key(row),
                image=image.key if image else None,
                file=image.file_name if image else None,
                outcome=state.name.lower(),
                reason=ledger.reasons[row],
            )
        )
    return tuple(found)


def print_summary(summary: Summary, *, as_json: bool, quiet: bool, verbose: bool, out: IO[str], err: IO[str]) -> None:
    """JSON on ``out``, or words on ``err``; problems are always told, unless ``quiet``."""
    if as_json:
        json.dump(summary.as_dict(), out, indent=2)
        out.write("\n")
    if not quiet:
        err.write(in_words(summary, shown=None if verbose else _SHOWN))


def in_words(summary: Summary, *, shown: int | None) -> str:
    """The summary as lines of text, at most ``shown`` of each kind of trouble."""
    problems = [f"{_where(problem)}: {problem.reason}" for problem in summary.problems]
    lines = []
    lines += _listed("not converted", problems, shown)
    lines += _listed("width and height contradict the file (masks have the file's size)", summary.mismatches, shown)
    lines += _listed("notes", summary.notes, shown)
    total = sum(summary.annotations.values())
    lines.append(f"{total:,} annotations of {summary.photos['in_file']:,} photos in {summary.source}")
    for state in State:
        n = summary.annotations.get(state.name.lower(), 0)
        if n:
            lines.append(f"  {n:>9,}  {WORDS[state]}")
    if summary.mean_score is not None:
        lines.append(f"  mean score {summary.mean_score:.3f}")
    if summary.photos["resumed"]:
        lines.append(f"  {summary.photos['resumed']:,} photos were already done by an earlier run")
    lines.append(f"wrote {summary.output}" if summary.output else "dry run: nothing was written")
    if summary.report:
        lines.append(f"wrote {summary.report}")
    return "\n".join(lines) + "\n"


def _where(problem: Problem) -> str:
    if problem.outcome == State.NO_PHOTO.name.lower():
        return f"image {problem.image}"
    place = f" of photo {problem.file!r}" if problem.file is not None else ""
    return f"annotation {problem.annotation}{place}"


def _listed(title: str, texts: tuple[str, ...] | list[str], shown: int | None) -> list[str]:
    if not texts:
        return []
    lines = [f"{title}:", *(f"  {text}" for text in texts[:shown])]
    if shown is not None and len(texts) > shown:
        lines.append(f"  ... and {len(texts) - shown:,} more (-v or --json lists all)")
    return lines
