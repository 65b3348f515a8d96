"""Values of a TOML file against the types of a settings class: wrong ones are told in words, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


class WrongValue(ValueError):
    """A value of the wrong type; the message says what is expected."""


def required(kind: type[Any]) -> list[str]:
    """Names of the settings that have no default."""
    return [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]


def converted(kind: type[Any], name: str, value: Any) -> Any:
    """``value`` as the field ``name`` of the dataclass ``kind`` wants it. Raises WrongValue."""
    hint = get_type_hints(kind)[name]
    found = _fit(hint, value)
    if found is _WRONG:
        raise WrongValue(f"{name} is {value!r}; write {_words(hint)}")
    return found


_WRONG = object()
_PLAIN: Mapping[Any, str] = {
    str: "a text in quotes",
    Path: "a path in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def _fit(hint: Any, value: Any) -> Any:
    """The value, a path made of its text and a tuple of its list; ``_WRONG`` where it does not fit."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        found = (_fit(one, value) for one in inside)
        return next((one for one in found if one is not _WRONG), _WRONG)
    if origin is Literal:
        return value if value in inside else _WRONG
    if origin is tuple:
        return _tuple(inside, value)
    if hint is Path:
        return Path(value) if isinstance(value, str) and value else _WRONG
    if origin is not None:  # a mapping
        good = isinstance(value, Mapping) and not any(_fit(inside[1], one) is _WRONG for one in value.values())
        return value if good else _WRONG
    wanted = (int, float) if hint is float else hint
    # true is an int for Python, and never what was meant
    return value if isinstance(value, wanted) and (hint is bool or not isinstance(value, bool)) else _WRONG


def _tuple(inside: tuple[Any, ...], value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return _WRONG
    hints = [inside[0]] * len(value) if inside[-1] is Ellipsis else list(inside)
    if len(hints) != len(value):
        return _WRONG
    found = tuple(_fit(hint, one) for hint, one in zip(hints, value, strict=True))
    return _WRONG if _WRONG in found else found


def _words(hint: Any) -> str:
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_words(one) for one in inside if one is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(f'"{one}"' for one in inside)
    if origin is tuple and inside[-1] is Ellipsis:
        return f"a list, each element {_words(inside[0])}"
    if origin is tuple:
        return f"a list of {len(inside)} elements, each {_words(inside[0])}"
    if origin is not None:
        return f"a table {{ name = value }}, each value {_words(inside[1])}"
    return _PLAIN.get(hint, "a table of its own")
