"""Settings as the text of a TOML file, which ``app.training.settings.read`` reads again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from app.training.settings import Settings


def document_of(settings: Settings) -> dict[str, Any]:
    """Every setting, defaults too, in the sections of the TOML file; what is None stays out."""
    document: dict[str, Any] = {}
    for name, value in asdict(settings).items():
        if isinstance(value, dict):
            document[name] = _set(value)
        elif value:
            document[name] = [_set(row) for row in value]
    return document


def as_toml(document: Mapping[str, Any]) -> str:
    """TOML of sections and lists of sections, as ``read`` knows them."""
    lines: list[str] = []
    for name, value in document.items():
        many = isinstance(value, list)
        for row in value if many else [value]:
            lines += [f"[[{name}]]" if many else f"[{name}]", *(f"{k} = {as_value(v)}" for k, v in row.items()), ""]
    return "\n".join(lines)


def as_value(value: Any) -> str:
    """One value as TOML writes it."""
    if isinstance(value, dict):
        rows = (f"{json.dumps(k, ensure_ascii=False)} = {as_value(v)}" for k, v in value.items())
        return "{ " + ", ".join(rows) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_value, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _set(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if value is not None}
