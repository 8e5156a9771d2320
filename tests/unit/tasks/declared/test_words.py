"""What a refused input is told: the field, what it must be, what it is, and never a prompt."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.tasks import samples
from tests.unit.tasks.declared.entries import entry, field


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"type": "string"}, 5, "must be a string, got 5"),
        ({"type": "string", "maxLength": 3}, "long", "must be a string of at most 3 characters, got 'long'"),
        ({"minLength": 1}, "", "must be a string of at least 1 character, got ''"),
        (
            {"type": "string", "minLength": 2, "maxLength": 2},
            "x",
            "must be a string of 2 characters, got 'x'",
        ),
        ({"type": "integer"}, 1.0, "must be an integer, got 1.0"),
        ({"type": "integer"}, True, "must be an integer, got true"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, 10, "must be an integer from 1 to 9, got 10"),
        ({"exclusiveMinimum": 0}, 0, "must be a number above 0, got 0"),
        ({"exclusiveMaximum": 1, "minimum": 0}, 1, "must be a number of at least 0 below 1, got 1"),
        ({"type": "integer", "multipleOf": 8}, 12, "must be an integer, a multiple of 8, got 12"),
        ({"type": ["string", "null"]}, 5, "must be a string or null, got 5"),
        ({"enum": ["a", "b", 3]}, "c", "must be one of a, b, 3, got 'c'"),
        (
            {"enum": list(range(14))},
            -1,
            "must be one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 others, got -1",
        ),
        ({"const": "x"}, "y", "must be x, got 'y'"),
        ({"type": "boolean"}, 0, "must be true or false, got 0"),
        ({"maxItems": 2}, [1, 2, 3], "must be an array of at most 2 items, got 3 items"),
        ({"minProperties": 1}, {}, "must be an object of at least 1 field, got an object"),
        (
            {"contains": {"const": 1}},
            [2],
            "must contain an item that its schema asks for (contains), got an array",
        ),
        ({"not": {"const": 1}}, 1, "must not be what its schema excludes (not), got 1"),
        (
            {"anyOf": [{"type": "string"}, {"minimum": 5}]},
            3,
            "must be a string or a number of at least 5, got 3",
        ),
        (
            {"anyOf": [{"minLength": 2}, {"minLength": 2}]},
            "",
            "must fit one of 2 alternatives (anyOf), got ''",
        ),
        ({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, 3, "must fit one alternative only of 2 (oneOf), got 3"),
        (
            {"propertyNames": {"maxLength": 2}},
            {"long": 1},
            "must have as a name a string of at most 2 characters, got 'long'",
        ),
        ({"format": "uri"}, "a b", "must be a URI, got 'a b'"),
        ({"format": "date"}, "2026-02-30", "must be a date such as 2026-11-22, got '2026-02-30'"),
        (
            {"format": "date-time"},
            "2026-02-30T00:00:00Z",
            "must be a time such as 2026-11-22T22:31:33Z, got '2026-02-30T00:00:00Z'",
        ),
        ({"format": "email"}, "x", "must be an e-mail address, got 'x'"),
        ({"format": "uuid"}, "x", "must be a UUID, got 'x'"),
        (
            {"format": "image-url"},
            "http://127.0.0.1/x.jpg",
            "must be a public http:// or https:// URL of at most 2048 characters, got 'http://127.0.0.1/x.jpg':"
            " its host cannot be reached from the public internet",
        ),
        (
            {"if": {"type": "string"}, "then": {"maxLength": 1}},
            "ab",
            "must be a string of at most 1 character, got 'ab'",
        ),
    ],
)
def test_rule_and_value_stand_in_the_message(schema: Any, value: Any, words: str) -> None:
    """In the words of the workflows that are built in."""
    assert field(schema, value) == {"algoInput.x": words}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"format": "uri"}, "urn:x"),
        ({"format": "date"}, "2026-02-28"),
        ({"format": "date-time"}, "2026-02-28T10:00:00.5+08:00"),
        ({"format": "email"}, "a@b"),
        ({"format": "uuid"}, "00000000-0000-0000-0000-00000000000A"),
        ({"format": "image-url"}, samples.IMAGE),
        ({"format": "image-url"}, 5),  # as JSON Schema has it: a format is of strings
        ({"type": "number"}, 1.5),
        ({"type": "integer"}, 2**70),
    ],
)
def test_what_fits_passes(schema: Any, value: Any) -> None:
    """Each format has values."""
    assert field(schema, value) == {}


SCHEMA = {
    "required": ["title", "pages"],
    "additionalProperties": False,
    "properties": {
        "title": {"type": "string", "maxLength": 5},
        "pages": {"type": "array", "items": {"$ref": "#/$defs/page"}},
    },
    "dependentRequired": {"title": ["pages"]},
    "$defs": {
        "page": {
            "type": "object",
            "required": ["text"],
            "additionalProperties": False,
            "properties": {"text": {"$ref": "#/$defs/text"}},
        },
        "text": {"type": "string", "minLength": 1},
    },
}


def test_all_wrong_fields_are_named_by_their_paths() -> None:
    """Missing ones and unknown ones too, in arrays and nested objects."""
    pages = [{"text": "a"}, {}, {"text": "", "txt": "b"}, 7]
    assert entry(SCHEMA).faults({"pages": pages, "titel": "x"}) == [
        ("algoInput.title", "is missing: must be a string of at most 5 characters"),
        ("algoInput.titel", "unknown field: FLOW takes title, pages"),
        ("algoInput.pages[1].text", "is missing: must be a string of at least 1 character"),
        ("algoInput.pages[2].txt", "unknown field: it takes text"),
        ("algoInput.pages[2].text", "must be a string of at least 1 character, got ''"),
        ("algoInput.pages[3]", "must be an object, got 7"),
    ]
    assert entry(SCHEMA).faults({"title": "x"}) == [
        ("algoInput.pages", "is missing: must stand beside title"),
    ]


def test_long_values_are_not_repeated_and_faults_are_bounded() -> None:
    """Neither a prompt nor a long name, and of ten thousand wrong items the first twenty."""
    faults = entry(SCHEMA).faults({"title": "secret plans" * 9, "x" * 500: 1, "pages": [1] * 10_000})
    assert len(faults) <= 20
    assert "secret" not in str(faults)
    assert max(len(path) + len(words) for path, words in faults) < 200
