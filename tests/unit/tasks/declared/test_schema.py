"""Schemas that are refused when the file is read, and inputs that would take too long to check."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from tasks.declared.checking import Checker, schema_faults
from tests.unit.tasks.declared.entries import entry, field


@pytest.mark.parametrize(
    ("schema", "path", "words"),
    [
        (
            {"properties": {"x": {"maxLenght": 5}}},
            "algoInput.properties.x.maxLenght",
            "did you mean maxLength?",
        ),
        (
            {"properties": {"x": {"format": "image_url"}}},
            "algoInput.properties.x.format",
            "must be one of image-url",
        ),
        ({"items": {"patternProperties": {}}}, "algoInput.items.patternProperties", "is no keyword"),
        ({"$ref": "https://example.com/x.json"}, "algoInput.$ref", "#/$defs/NAME"),
        ({"$ref": "other.json"}, "algoInput.$ref", "#/$defs/NAME"),
        ({"$ref": "file:///etc/passwd"}, "algoInput.$ref", "#/$defs/NAME"),
        ({"$ref": "#/$defs/none"}, "algoInput.$ref", "#/$defs/NAME"),
        ({"$ref": "#/properties"}, "algoInput.$ref", "#/$defs/NAME"),
        ({"$id": "https://example.com/"}, "algoInput.$id", "is no keyword"),
        ({"properties": {"x": False}}, "algoInput.properties.x", "must not be false"),
        ({"$dynamicRef": "#x"}, "algoInput.$dynamicRef", "is no keyword"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "algoInput.$schema", "2020-12"),
        ({"$ref": "#"}, "algoInput", "must not refer to itself"),
        (
            {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}},
            "algoInput.$defs.a",
            "must not refer to itself",
        ),
        ({"properties": {"x": {"pattern": "("}}}, "algoInput.properties.x.pattern", "unclosed group"),
        ({"properties": {"x": {"pattern": "(?=a)"}}}, "algoInput.properties.x.pattern", "look-around"),
        ({"properties": {"x": {"pattern": r"(a)\1"}}}, "algoInput.properties.x.pattern", "backreferences"),
        ({"properties": {"x": {"pattern": "a" * 1001}}}, "algoInput.properties.x.pattern", "at most 1000"),
        (
            {"properties": {"x": {"pattern": "(a{0,99}){0,99}"}}},
            "algoInput.properties.x.pattern",
            "at most 1000",
        ),
        ({"properties": {"x": {"enum": 5}}}, "algoInput.properties.x.enum", "must be an array, got 5"),
        ({"properties": 5}, "algoInput.properties", "must be an object, got 5"),
    ],
)
def test_what_would_not_be_checked_is_refused(schema: dict[str, Any], path: str, words: str) -> None:
    """A misspelt limit, a reference that leads elsewhere, a check without end: by the place in the file."""
    faults = dict(schema_faults(schema))
    assert list(faults) == [path]
    assert words in faults[path]


def test_no_keyword_passes_in_silence_but_our_users_own() -> None:
    """Names of fields are no keywords, and what begins with x- is for whoever wrote it."""
    schema = {"x-team": "art", "properties": {"maxLenght": {"type": "string"}, "$ref": {"const": {"x": 1}}}}
    assert schema_faults(schema) == []


def test_nothing_is_fetched() -> None:
    """Even a reference that would get past the file's check finds nothing."""
    with patch("urllib.request.urlopen") as fetched:
        faults: Any = None
        try:
            faults = Checker({"$ref": "http://127.0.0.1:1/x.json"}, "FLOW").faults({})
        except Exception as error:
            faults = error
        assert faults
        assert not fetched.called


TREE = {
    "properties": {"x": {"$ref": "#/$defs/tree"}},
    "$defs": {
        "tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}, "size": {"minimum": 0}}}
    },
}


def test_a_schema_may_be_recursive() -> None:
    """Down a value it ends where the value does."""
    value = {"left": {"left": {"size": -1}}}
    assert entry(TREE).faults({"x": value}) == [
        ("algoInput.x.left.left.size", "must be a number of at least 0, got -1")
    ]


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_a_check_that_doubles_with_each_level_ends() -> None:
    """After so many steps, in words, and not in hours."""
    twice = [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]
    schema = {"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"a": {"allOf": twice}}}}}
    assert entry(schema).faults(nested(60)) == [
        ("algoInput", "must be simpler: to check it takes more than 100000 steps")
    ]
    assert entry(schema).faults(nested(5)) == []


def test_a_long_list_of_choices_counts_as_it_takes() -> None:
    """Of many items each is compared with each choice."""
    schema = {"properties": {"x": {"items": {"enum": list(range(20_000))}}}}
    many, some = [19_999] * 2000, [19_999] * 20
    assert "must be simpler" in str(entry(schema).faults({"x": many}))
    assert entry(schema).faults({"x": some}) == []


def test_a_chain_of_references_without_end_in_sight_is_refused() -> None:
    """Deeper than any check could go."""
    chain = {f"a{index}": {"$ref": f"#/$defs/a{index + 1}"} for index in range(3000)}
    schema = {"$ref": "#/$defs/a0", "$defs": {**chain, "a3000": {}}}
    assert "references" in str(schema_faults(schema))


def test_a_pattern_that_python_would_try_for_years_is_quick() -> None:
    """Neither in the text nor in the search for where it begins is anything tried again."""
    assert field({"pattern": "^(a+)+$"}, "a" * 60 + "!") == {
        "algoInput.x": 'must be a string that the pattern "^(a+)+$" matches, got a string of 61 characters'
    }
    assert field({"pattern": "(a|a)*b"}, "a" * 10_000)
    assert field({"pattern": "a"}, "a" * 10_001)  # too long to be matched
    assert not field({"pattern": "^[a-z0-9]+(?:-[a-z0-9]+)*$"}, "a-b-c")
    assert field({"pattern": "a"}, "a\ud800")


def test_many_items_are_compared_in_one_pass() -> None:
    """Objects cannot be sorted; each with each would be a hundred million comparisons."""
    items: list[Any] = [{"a": index} for index in range(15_000)]
    unique = {"uniqueItems": True}
    assert not field(unique, items)
    assert field(unique, [*items, {"a": 0}]) == {"algoInput.x": "must have no item twice, got an array"}
    assert not field(unique, [1, True, "1", [1], ["1"]])
    assert field(unique, [1, 1.0])
    assert field(unique, [{"a": [1, 2]}, {"a": [1, 2]}])


def test_an_input_is_json_of_a_bounded_size() -> None:
    """As one of an unlisted workflow, whatever its schema leaves open."""
    for value in (float("nan"), b"x", {1: 2}, "x" * 300_000, nested(100), 10**5000):
        assert field({}, value)
    assert field({}, {"__type__": "uuid", "__value__": {"hex": "0" * 32}})
    assert field({"multipleOf": 0.5}, 10**400)
    assert field({"minimum": 0}, -(10**400)) == {
        "algoInput.x": "must be a number of at least 0, got a huge number"
    }
