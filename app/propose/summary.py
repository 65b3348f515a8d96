"""What a run of ``propose`` did, in words and as JSON. No clock times: the same run gives the same text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import IO

from app.propose.write import Run

_SHOWN = 20
_CLASSES = 30


@dataclass(frozen=True)
class Summary:
    """One run.

    Attributes:
        counts: task -> class -> regions, most frequent first.
        photos: counts: asked, unreadable, empty (nothing was found), resumed, left_out (by --limit).
        known: proposals that were left out because the same is there already.
        problems: photos that could not be done, with the reason.
    """

    source: str
    outputs: tuple[str, ...]
    labeler: tuple[str, str]
    counts: Mapping[str, Mapping[str, int]]
    photos: Mapping[str, int]
    known: int
    problems: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """1 if a photo could not be done."""
        return 1 if self.problems else 0


def summarise(run: Run, outputs: list[str], *, resumed: int) -> Summary:
    """Read every result of the journal once."""
    from app.propose.result import PhotoProposals

    counts: dict[str, Counter[str]] = {task: Counter() for task in run.settings.tasks}
    problems, notes = [], list(run.source.notes)
    known = empty = 0
    for item in run.source.items:
        found = PhotoProposals.from_payload(run.journal.read(item.key))
        if found.error is not None:
            problems.append((item.file_name, found.error))
            continue
        known += found.known
        for task in run.settings.tasks:
            counts[task].update(region.name for region in getattr(found, task))
        empty += not any(getattr(found, task) for task in run.settings.tasks)
        if found.note:
            notes.append(f"photo {item.file_name!r}: {found.note}")
    if run.source.document is not None:
        notes.extend(run.source.document.problems)
    return Summary(
        source=str(run.settings.source),
        outputs=tuple(outputs),
        labeler=(run.spec.name, run.spec.version),
        counts={task: dict(sorted(found.items(), key=lambda one: (-one[1], one[0]))) for task, found in counts.items()},
        photos={
            "asked": len(run.source.items),
            "unreadable": len(problems),
            "empty": empty,
            "resumed": resumed,
            "left_out": run.source.left_out,
        },
        known=known,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def print_summary(summary: Summary, *, as_json: bool, quiet: bool, verbose: bool, out: IO[str], err: IO[str]) -> None:
    """JSON on ``out``, or words on ``err``."""
    if as_json:
        json.dump({**asdict(summary), "exit_code": summary.exit_code}, out, indent=2)
        out.write("\n")
    if not quiet:
        err.write(in_words(summary, shown=None if verbose else _SHOWN))


def in_words(summary: Summary, *, shown: int | None) -> str:
    """The summary as lines of text, at most ``shown`` of each kind of trouble."""
    lines = listed("not done", [f"{name}: {reason}" for name, reason in summary.problems], shown)
    lines += listed("notes", list(summary.notes), shown)
    photos = summary.photos
    lines.append(f"{photos['asked']:,} photos of {summary.source}")
    for task, found in summary.counts.items():
        lines.append(f"  {sum(found.values()):>9,}  {task}")
        names = list(found.items())
        limit = len(names) if shown is None else _CLASSES
        lines += [f"    {n:>9,}  {name}" for name, n in names[:limit]]
        if len(names) > limit:
            lines.append(f"    ... and {len(names) - limit:,} more classes (-v or --json lists all)")
    if summary.known:
        lines.append(f"  {summary.known:>9,}  left out: the same is annotated, or was found with a better score")
    for name, text in (
        ("empty", "photos on which nothing was found"),
        ("left_out", "photos left out by --limit"),
        ("resumed", "photos were already done by an earlier run"),
    ):
        if photos[name]:
            lines.append(f"  {photos[name]:>9,}  {text}")
    lines += [f"wrote {path}" for path in summary.outputs]
    return "\n".join(lines) + "\n"


def listed(title: str, texts: list[str], shown: int | None) -> list[str]:
    """A heading and its lines, cut after ``shown``."""
    if not texts:
        return []
    lines = [f"{title}:", *(f"  {text}" for text in texts[:shown])]
    if shown is not None and len(texts) > shown:
        lines.append(f"  ... and {len(texts) - shown:,} more (-v or --json lists all)")
    return lines
