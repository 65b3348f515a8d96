"""Settings of a fine-tuning: the bundled ones, a TOML file of the user over them, options over both."""

from __future__ import annotations

import json
import math
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.errors import UsageError
from app.training.settings import PROJECT, Settings, SettingsError, read
from exporters.files import replacing

DEFAULTS = Path(__file__).with_name("fine_tune.toml")

FREE = {("run", key) for key in ("output", "threads", "workers", "tensorboard")} | {
    ("schedule", key) for key in ("save_every", "report_every", "keep")
}
"""Settings that may change when a run is gone on with: they don't change what it learns."""


@dataclass(frozen=True)
class Plan:
    """Settings of a run, and the same as the TOML file that is left in its folder."""

    settings: Settings
    document: dict[str, Any]


def plan(
    project: Path | str,
    *,
    own: Path | None,
    output: Path,
    forced: bool = False,
    init: Path | None = None,
    steps: int | None = None,
    seed: int | None = None,
) -> Plan:
    """Put the settings together.

    Args:
        own: the user's TOML file.
        output: folder of the run, unless ``own`` says another; ``forced``: whatever ``own`` says.
        init, steps, seed: options; None leaves what the files say.

    Raises:
        SettingsError: a file is not valid; the message names it, and the key.
        UsageError: it names training data for crops, which are drawn from the project.
    """
    document = _merged(_loaded(DEFAULTS), _loaded(own) if own is not None else {}, own)
    if forced or "output" not in document["run"]:
        document["run"]["output"] = str(output)
    for section, key, value in (("run", "init", init), ("schedule", "steps", steps), ("run", "seed", seed)):
        if value is not None:
            document[section][key] = str(value) if isinstance(value, Path) else value
    if document.get("data", {}).get("train") is not None:
        raise UsageError(
            f"{own}: [data] train can't be used with --from-project, as crops are drawn from the project; "
            "name the folder in [[segmentation]]"
        )
    rows = document.get("segmentation", [])
    if isinstance(rows, list):  # `read` tells what is wrong with anything else
        document["segmentation"] = [{"path": shown(project), "kind": PROJECT}, *rows]
    settings = _checked(document, own or DEFAULTS)
    return Plan(replace(settings, segmentation=settings.segmentation[1:]), document)


def shown(project: Path | str) -> str:
    """How files and messages call a project: its path, or its URL without password and options (they may hold one)."""
    if isinstance(project, Path):
        return str(project.resolve())
    try:
        return make_url(project).set(query={}).render_as_string(hide_password=True)
    except ArgumentError:  # opening it says what is wrong
        return project.partition("://")[0]


def remember(folder: Path, document: Mapping[str, Any]) -> None:
    """Leave the settings in the folder of the run, or check that they are those that it began with.

    Raises:
        UsageError: another run is there.
    """
    file = folder / "settings.toml"
    if not file.is_file():
        if any((folder / "checkpoints").glob("*")):
            raise UsageError(f"{folder}: another training is there; choose another folder with --output")
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(file) as out:
            out.write(as_toml(document).encode())
        return
    old, new = _flat(_loaded(file)), _flat(tomllib.loads(as_toml(document)))
    changed = sorted(key for key in old.keys() | new.keys() if key not in FREE and old.get(key) != new.get(key))
    if changed:
        section, key = changed[0]
        raise UsageError(
            f"{folder}: a run with other settings is there ([{section}] {key} was {old.get(changed[0])}, now "
            f"{new.get(changed[0])}); choose another folder with --output, or repeat the old command to go on with it"
        )


def as_toml(document: Mapping[str, Any]) -> str:
    """TOML of sections and lists of sections, as ``read`` knows them."""
    lines: list[str] = []
    for name, value in document.items():
        many = isinstance(value, list)
        for row in value if many else [value]:
            lines += [f"[[{name}]]" if many else f"[{name}]", *(f"{k} = {_value(v)}" for k, v in row.items()), ""]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k, ensure_ascii=False)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _loaded(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error


def _merged(base: dict[str, Any], own: dict[str, Any], path: Path | None) -> dict[str, Any]:
    """``own`` over ``base``, key by key inside each section."""
    merged = dict(base)
    for name, value in own.items():
        if not isinstance(value, dict | list) or (isinstance(value, list) and not all(map(_is_table, value))):
            raise SettingsError(f"{path}: {name!r} stands outside of a section; put it below [run] or another one")
        merged[name] = merged.get(name, {}) | value if isinstance(value, dict) else value
    return merged


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _checked(document: Mapping[str, Any], shown: Path) -> Settings:
    """``read`` of the document; messages name the user's file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "settings.toml"
        file.write_text(as_toml(document), encoding="utf-8")
        try:
            return read(file)
        except SettingsError as error:
            raise SettingsError(str(error).replace(str(file), str(shown))) from None


def _flat(document: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            found |= {(name, key): item for key, item in value.items()}
        else:
            found[name, ""] = value
    return found
