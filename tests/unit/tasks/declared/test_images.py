"""Which fields are images, by the schema."""

from __future__ import annotations

from typing import Any

from tasks.declared.images import Images
from tests.unit.tasks.declared.entries import entry

IMAGE = {"type": "string", "format": "image-url"}
URL = "https://shop.example.com/a.jpg"


def found(schema: dict[str, Any], **algo_input: Any) -> list[str]:
    return [path for path, _ in entry(schema).images(algo_input)]


def test_images_are_found_wherever_they_stand() -> None:
    """In fields, arrays, tuples, nested objects, by reference, and among further fields."""
    schema = {
        "properties": {
            "one": IMAGE,
            "many": {"items": {"$ref": "#/$defs/image"}},
            "pair": {"prefixItems": [{"type": "string"}, IMAGE], "items": IMAGE},
            "logo": {"properties": {"url": IMAGE, "text": {"type": "string"}}},
        },
        "additionalProperties": IMAGE,
        "$defs": {"image": IMAGE},
    }
    assert found(
        schema, one=URL, many=[URL, URL], pair=["x", URL, URL], logo={"url": URL, "text": URL}, z=URL
    ) == [
        *(
            "algoInput.one",
            "algoInput.many[0]",
            "algoInput.many[1]",
            "algoInput.pair[1]",
            "algoInput.pair[2]",
        ),
        *("algoInput.logo.url", "algoInput.z"),
    ]


def test_alternatives_count_where_the_value_is_an_image() -> None:
    """Each once; a word that another alternative takes is none."""
    schema = {
        "properties": {"x": {"anyOf": [IMAGE, {"const": "none"}], "allOf": [IMAGE | {"maxLength": 99}]}},
        "if": {"required": ["x"]},
        "then": {"properties": {"y": IMAGE}},
        "dependentSchemas": {"x": {"properties": {"z": IMAGE}}},
    }
    assert found(schema, x=URL, y=URL, z=URL) == ["algoInput.x", "algoInput.y", "algoInput.z"]
    assert found(schema, x="none") == []


def test_recursive_schemas_end() -> None:
    """And references that multiply are followed once for each value."""
    twice = [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]
    schema = {"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"a": {"allOf": twice}, "image": IMAGE}}}}
    value: dict[str, Any] = {"image": URL}
    for _ in range(50):
        value = {"a": value}
    assert list(Images(schema).of(value)) == [("algoInput" + ".a" * 50 + ".image", URL)]


def test_without_images_there_are_none() -> None:
    """A URL in another field is not looked at."""
    assert found({"properties": {"x": {"format": "uri"}}}, x=URL) == []
