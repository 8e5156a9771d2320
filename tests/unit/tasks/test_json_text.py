"""JSON by pydantic's reader and writer: the same as by the standard library, whatever the value."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.json_text import dumps, dumps_for_lua, loads

ANY_TEXT = st.text(st.characters(exclude_categories=()))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(ANY_JSON)
def test_what_is_written_reads_as_the_same_value(value: Any) -> None:
    """By the standard library and by ours, from ASCII."""
    text = dumps(value)
    assert text.isascii()
    assert repr(json.loads(text)) == repr(loads(text)) == repr(json.loads(json.dumps(value)))


@given(ANY_JSON, st.integers(0), st.integers(0, 255))
def test_a_damaged_text_is_read_as_the_standard_library_does(value: Any, at: int, byte: int) -> None:
    """Refused by both, or the same value by both."""
    text = bytearray(json.dumps(value).encode())
    text[at % len(text)] = byte

    def read(reader: Any) -> str:
        try:
            return repr(reader(bytes(text)))
        except (ValueError, RecursionError):
            return "refused"

    assert read(loads) == read(json.loads)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(number: float) -> None:
    """JSON has no word for it; as a text the word is fine."""
    with pytest.raises(ValueError, match="JSON compliant"):
        dumps({"seed": number})
    assert loads(dumps(["NaN", "-Infinity"])) == ["NaN", "-Infinity"]


@pytest.mark.parametrize(
    "text", ['["\\ud800"]', "[" * 500 + "]" * 500, "\ufeff{}", '{"a":1}'.encode("utf-16"), "1" * 400]
)
def test_what_pydantic_refuses_is_read_or_refused_by_the_standard_library(text: str | bytes) -> None:
    """Half of a surrogate pair, deep nesting, other encodings, long numbers."""
    try:
        expected = json.loads(text)
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            loads(text)
    else:
        assert loads(text) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("\ud800", rb'"\ufffd"'),
        ("\udfff\ud800", rb'"\ufffd\ufffd"'),
        ("a\ud800b\udc00", rb'"a\ufffdb\ufffd"'),
        ("\U0001f600", rb'"\ud83d\ude00"'),
        ("\\ud800", rb'"\\ud800"'),
        ("\\\ud800", rb'"\\\ufffd"'),
        ("ud800", b'"ud800"'),
    ],
)
def test_half_a_surrogate_pair_is_replaced_for_lua(value: str, text: bytes) -> None:
    """Redis's Lua refuses it, and would never settle the job; pairs, and text that looks like one, stay."""
    assert dumps_for_lua([value]) == b"[" + text + b"]"
