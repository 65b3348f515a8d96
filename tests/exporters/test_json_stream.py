import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.json_stream import Item, JsonError, Kind, members, place, scan

HERE = Path("x.json")

scalar = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
value = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
document = st.dictionaries(st.text(max_size=4), value, max_size=6) | st.lists(value, max_size=6)


def items(data: bytes, chunk: int = 1 << 20) -> list[Item]:
    return list(scan(HERE, io.BytesIO(data), chunk=chunk))


def rebuilt(found: list[Item]) -> Any:
    """The document that the items describe."""
    kind = found[-1].value
    if kind is list:
        return [item.value for item in found[:-1]]
    whole: dict[str, Any] = {}
    pending: list[Any] = []
    for item in found[:-1]:
        if item.kind is Kind.ELEMENT:
            pending.append(item.value)
        else:
            assert item.key is not None
            whole[item.key] = pending if item.kind is Kind.ARRAY else item.value
            pending = []
    return whole


@given(
    document,
    st.integers(1, 40),
    st.booleans(),
    st.sampled_from([None, 1, "\t"]),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_items_are_the_values_of_json_loads_with_their_spans(
    wanted: Any, chunk: int, ascii_only: bool, indent: Any, bom: bytes
) -> None:
    data = bom + json.dumps(wanted, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    if "\\ud" not in json.dumps(wanted):
        found = items(data, chunk)
        assert rebuilt(found) == wanted
        for item in found:
            parsed = json.loads(data[item.start : item.end])
            if item.kind in (Kind.ELEMENT, Kind.MEMBER):
                assert parsed == item.value
        assert json.loads(data[found[-1].start : found[-1].end]) == wanted


@pytest.mark.parametrize("chunk", range(1, 24))
def test_values_cut_at_any_place_are_read_whole(chunk: int) -> None:
    data = b'{"a": [123456789, -1.5e+10, NaN, -Infinity, true, "x\\u00e9\\"y", "\xc3\xa9"], "b": 12.25e-3}'
    found = [item.value for item in items(data, chunk) if item.kind in (Kind.ELEMENT, Kind.MEMBER)]
    assert math.isnan(found[2])
    assert found[:2] + found[3:] == [123456789, -1.5e10, -math.inf, True, 'xé"y', "é", 0.01225]


@pytest.mark.parametrize(
    ("data", "line", "column", "reason"),
    [
        (b"", 1, 1, "empty"),
        (b"  \n ", 2, 2, "empty"),
        (b"7", 1, 1, "object or a list"),
        (b'{"a": [1, 2', 1, 12, "too early"),
        (b'{"a": {"b": 1', 1, 14, "too early"),
        (b'{"a": "bc', 1, 7, "Unterminated string"),
        (b'{"a":\n [1,\n  2 3]}', 3, 5, "',' or ']'"),
        (b'{"a": 1,}', 1, 9, "key in double quotes"),
        (b'{"a" 1}', 1, 6, "':' is expected"),
        (b"{'a': 1}", 1, 2, "key in double quotes"),
        (b"[1,]", 1, 4, "Expecting value"),
        (b"[nan]", 1, 2, "Expecting value"),
        (b"[] x", 1, 4, "after the end"),
        (b'{"a": [{"b": }]}', 1, 14, "Expecting value"),
        ('{"é":\n "é" x}'.encode(), 2, 6, "',' or '}'"),
        (b"\xef\xbb\xbf{x", 1, 2, "key in double quotes"),
        (b'["\xe9"]', 1, 3, "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), 1, 1, "UTF-16"),
        ('{"a": 1}'.encode("utf-16-le"), 1, 1, "UTF-16"),
        (b"\x1f\x8b\x08\x00", 1, 1, "compressed"),
        (b"[" + b"[" * 200_000 + b"]" * 200_001, 1, 2, "nested too deeply"),
        (b"[" + b"9" * 5000 + b"]", 1, 2, "digits"),
    ],
)
@pytest.mark.parametrize("chunk", [3, 1 << 20])
def test_malformed_files_say_where_and_why(data: bytes, line: int, column: int, reason: str, chunk: int) -> None:
    with pytest.raises(JsonError, match=reason) as caught:
        items(data, chunk)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"x.json: line {line}, column {column}: ")


def test_an_error_early_in_a_big_file_is_found_without_reading_the_rest() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    file = Counting(b'{"a": [1, 2, {"b": oops}, ' + b"3, " * 1_000_000)
    with pytest.raises(JsonError):
        list(scan(HERE, file, chunk=1000))
    assert file.taken < 10_000


@given(st.binary(max_size=60), st.integers(0, 60))
def test_place_counts_lines_and_characters(data: bytes, offset: int) -> None:
    before = data[: min(offset, len(data))]
    line, column = place(io.BytesIO(data), offset)
    assert line == before.count(b"\n") + 1
    if data.isascii():
        assert column == len(before) - (before.rfind(b"\n") + 1) + 1


@given(
    st.lists(st.tuples(st.text(max_size=4), value), max_size=5),
    st.sampled_from([(", ", ": "), (",", ":"), (" ,\n", " :\t")]),
)
def test_members_finds_every_key_and_value_duplicates_too(
    pairs: list[tuple[str, Any]], separators: tuple[str, str]
) -> None:
    comma, colon = separators
    text = "{ " + comma.join(json.dumps(key) + colon + json.dumps(value) for key, value in pairs) + " }"
    found = members(text)
    assert [(m.key, json.loads(text[m.start : m.end])) for m in found] == pairs
    assert [json.loads(text[m.key_start : m.key_end]) for m in found] == [key for key, _ in pairs]
