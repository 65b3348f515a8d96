"""Whose run is in a folder: its settings lie beside its checkpoints, so that no two trainings are mixed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.errors import UsageError
from app.training.settings import Settings, SettingsError, read
from app.training.toml_text import as_toml, as_value, document_of
from exporters.files import replacing

NAME = "settings.toml"

FREE = frozenset(
    [("run", key) for key in ("output", "threads", "workers", "tensorboard")]
    + [("schedule", key) for key in ("save_every", "report_every", "keep")]
)
"""Settings that may change when a run is gone on with: they don't change what it learns."""

FREE_IN_TOML = FREE | {
    ("schedule", "steps"),  # to make a run longer
    ("schedule", "validate_every"),
    ("schedule", "bad_steps"),
    ("data", "val"),
    ("data", "validation_photos"),
    ("machine", "cpu"),
}
"""The same for ``train settings.toml``. The report of a fine-tuning tells its length, which stays."""

_CHECKPOINT = re.compile(r"(?:step|sharded)-(\d+)(?:\.pt)?")
_SHOWN = 6


class OtherRun(UsageError):
    """The output folder holds a run that was begun with other settings."""


def begin(settings: Settings) -> None:
    """Leave the settings of ``train settings.toml`` in its output folder, or check that its run began with them.

    A folder where no step was taken holds no run, so that a TOML file that was wrong may be put right. Does nothing in
    all but the first of several processes.

    Raises:
        OtherRun: going on would mix two trainings.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    folder = settings.run.output
    if _begun(folder):
        if (folder / NAME).is_file():
            _refuse_others(
                folder,
                settings,
                free=FREE_IN_TOML,
                remedy=f"name another output in [run], or delete the folder to start over (delete only {folder / NAME} "
                "to go on with the new settings on purpose)",
            )
        else:
            print(
                f"warning: {folder}: goes on with a run that left no {NAME}; whether it began with these settings "
                "can't be checked",
                file=sys.stderr,
            )
    _write(folder, document_of(settings))


def begin_fine_tuning(folder: Path, settings: Settings, document: Mapping[str, Any]) -> None:
    """The same for a fine-tuning, which leaves ``document``, the TOML sections that differ from the defaults.

    Raises:
        OtherRun: another run is there.
    """
    if (folder / NAME).is_file():
        again = "choose another folder with --output, or repeat the old command to go on with it"
        _refuse_others(folder, settings, free=FREE, remedy=again)
        return
    if _begun(folder):
        raise OtherRun(f"{folder}: another training is there; choose another folder with --output")
    _write(folder, document)


def _begun(folder: Path) -> bool:
    """Whether a step was taken: what stops before the first one leaves a checkpoint of step 0."""
    found = (_CHECKPOINT.fullmatch(path.name) for path in (folder / "checkpoints").glob("*"))
    return any(int(one[1]) > 0 for one in found if one)


def _refuse_others(folder: Path, settings: Settings, *, free: Set[tuple[str, str]], remedy: str) -> None:
    try:
        old = _flat(asdict(read(folder / NAME)))
    except (SettingsError, OSError) as error:
        raise OtherRun(f"{folder}: the settings of the run there can't be read ({error}); {remedy}") from error
    new = _flat(asdict(settings))
    changed = [at for at in dict.fromkeys([*old, *new]) if at[:2] not in free and old.get(at) != new.get(at)]
    if not changed:
        return
    told = [f"{_place(at)} was {_shown(old.get(at))}, now {_shown(new.get(at))}" for at in changed[:_SHOWN]]
    more = f"; and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    raise OtherRun(f"{folder}: a run with other settings is there ({'; '.join(told)}{more}); {remedy}")


def _flat(value: Any, at: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Each setting under its section, its key, and what is below: ("segmentation", "1", "path")."""
    rows: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        rows = list(value.items())
    elif isinstance(value, tuple) and value and isinstance(value[0], dict):
        rows = [(str(number), row) for number, row in enumerate(value, start=1)]
    elif len(at) > 1 or value:  # a list without data sets is no setting
        return {at: value}
    return {place: one for key, below in rows for place, one in _flat(below, (*at, key)).items()}


def _place(at: tuple[str, ...]) -> str:
    section, *keys = at
    return f"[[{section}]] {' '.join(keys)}" if keys[0].isdecimal() else f"[{section}] {'.'.join(keys)}"


def _shown(value: Any) -> str:
    text = "not set" if value is None else as_value(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _write(folder: Path, document: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / NAME) as out:
        out.write(as_toml(document).encode())
