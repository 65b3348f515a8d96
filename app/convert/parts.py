"""A conversion in parts: each has a journal of its own, and ``merge`` makes of them what one run would have made.

The photos that have something to convert are dealt out like cards: the i-th goes to part i modulo n. So the parts
depend on the input and the options alone, and are about equal in work wherever the boxes are.
"""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from app.convert.digest import digest_of
from app.convert.ledger import tally
from app.convert.plan import Plan, make_plan
from app.convert.settings import Settings
from app.convert.summary import Summary, summarise
from app.convert.write import write_all
from app.errors import UsageError
from labelers.journal import Journal, fingerprint_of, journal_path
from labelers.protocol import LabelerSpec

INPUT = "input"
"""The key under which a journal keeps the digest of the input."""


def results_path(settings: Settings) -> Path:
    """Where the run keeps its results: the journal of the output, or of the part."""
    return journal_path(settings.output) if settings.part is None else part_path(settings.output, *settings.part)


def part_path(output: Path, number: int, count: int) -> Path:
    """The journal of one part; in the order of the parts when sorted by name."""
    return journal_path(output.with_name(f"{output.name}.part-{number:0{len(str(count))}}-of-{count}"))


def finished_part(plan: Plan, journal: Journal, spec: LabelerSpec, *, resumed: int) -> Summary:
    """What became of a part whose photos are all in the journal. Nothing is written: the journal is the result."""
    assert plan.settings.part is not None
    number, count = plan.settings.part
    found = summarise(plan, tally(plan, journal), spec=spec, resumed=resumed, written=False)
    note = f"part {number} of {count} is done; when all are, the same command with --merge {count} puts them together"
    return dataclasses.replace(found, output=str(journal.path), notes=(*found.notes, note))


class Parts:
    """The journals of all parts, read as if they were one."""

    def __init__(self, plan: Plan, journals: list[Journal]) -> None:
        self._todo, self._journals = plan.todo, journals

    def read(self, key: str) -> dict[str, Any]:
        """The payload of a photo. Raises KeyError if there is none."""
        return self._of(int(key)).read(key)

    def done(self, key: str) -> bool:
        return self._of(int(key)).done(key)

    def _of(self, image_row: int) -> Journal:
        return self._journals[int(np.searchsorted(self._todo, image_row)) % len(self._journals)]


def merge(settings: Settings, *, quiet: bool = True) -> Summary:
    """Write what the undivided run would have written. The journals of the parts stay.

    Raises:
        UsageError: a part is missing or not finished, or belongs to another input or other options.
        CocoError, JournalError, OSError: as the conversion.
    """
    assert settings.merge is not None
    plan = make_plan(settings, quiet=quiet)
    with plan.document, ExitStack() as stack:
        journals, spec = _open(settings, stack)
        digest = digest_of(settings)
        for journal in journals:
            if not journal.done(INPUT) or journal.read(INPUT)["sha256"] != digest:
                raise UsageError(f"{journal.path} was made from another {settings.source}; run this part again")
        parts = Parts(plan, journals)
        _refuse_unfinished(plan, parts, journals)
        return write_all(plan, parts, spec, quiet=quiet)


def _open(settings: Settings, stack: ExitStack) -> tuple[list[Journal], LabelerSpec]:
    """The journals in order, and the labeler that made all of them."""
    count = settings.merge or 1
    paths = [part_path(settings.output, number, count) for number in range(1, count + 1)]
    lacking = [number for number, path in enumerate(paths, start=1) if not path.is_file()]
    if lacking:
        listed = ", ".join(map(str, lacking[:10])) + (", ..." if len(lacking) > 10 else "")
        raise UsageError(
            f"--merge {count}: part {listed} of {count} is missing; {paths[lacking[0] - 1]} is made by "
            f"--part {lacking[0]}/{count}, or copy it here"
        )
    first = fingerprint_of(paths[0])
    made_by = {name: first.get(name) for name in ("labeler", "version")}
    journals = []
    for number, path in enumerate(paths, start=1):
        part = dataclasses.replace(settings, part=(number, count), merge=None)
        # where the photos were is each machine's own business
        wanted = {**made_by, **part.fingerprint(), "images": fingerprint_of(path).get("images")}
        journals.append(stack.enter_context(Journal.open(path, fingerprint=wanted)))
    spec = LabelerSpec(
        name=str(made_by["labeler"]),
        version=str(made_by["version"]),
        needs_boxes=True,
        makes_boxes=False,
        uses_names=True,
    )
    return journals, spec


def _refuse_unfinished(plan: Plan, parts: Parts, journals: list[Journal]) -> None:
    lacking = [k for k, row in enumerate(plan.todo.tolist()) if not parts.done(str(row))]
    if lacking:
        number, count = lacking[0] % len(journals) + 1, len(journals)
        photos = sum(k % count == number - 1 for k in lacking)
        raise UsageError(
            f"{journals[number - 1].path}: {photos:,} photos of part {number} are not done yet; "
            f"go on with --part {number}/{count}"
        )
