"""Settings of a fine-tuning: the bundled ones, a TOML file of the user over them, options over both."""

from __future__ import annotations

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
from app.training.toml_text import as_toml

DEFAULTS = Path(__file__).with_name("fine_tune.toml")


@dataclass(frozen=True)
class Plan:
    """Settings of a run.

    Attributes:
        settings: what is trained with; the project's photos are added to its data.
        whole: the same with the project as a data set.
        document: what the TOML file in the folder of the run says: what differs from the defaults.
    """

    settings: Settings
    whole: Settings
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
    whole = _checked(document, own or DEFAULTS)
    return Plan(replace(whole, segmentation=whole.segmentation[1:]), whole, document)


def shown(project: Path | str) -> str:
    """How files and messages call a project: its path, or its URL without password and options (they may hold one)."""
    if isinstance(project, Path):
        return str(project.resolve())
    try:
        return make_url(project).set(query={}).render_as_string(hide_password=True)
    except ArgumentError:  # opening it says what is wrong
        return project.partition("://")[0]


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
