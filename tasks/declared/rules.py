"""A schema as a rule in words that go after "must be": "an integer from 0 to 10". Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from ..checks import clip
from .formats import RULES

ANYTHING: Final = "a value that fits its schema"
_CHOICES_MOST: Final = 12

_IMPLIED: Final = {
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format"), "string"),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
    **dict.fromkeys(("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"), "array"),
    **dict.fromkeys(("properties", "required", "additionalProperties", "minProperties"), "object"),
}
"""The type that is meant where a schema does not say it."""


def rule_of(schema: Any, resolved: Callable[[Any], Any]) -> str:
    """What a value must be by this schema.

    Args:
        resolved: gives the schema to which one leads that is a reference.
    """
    schema = resolved(schema)
    if not isinstance(schema, dict):
        return ANYTHING
    if "const" in schema:
        return _shown(schema["const"])
    if "enum" in schema:
        choices = [_shown(choice) for choice in schema["enum"][:_CHOICES_MOST]]
        more = len(schema["enum"]) - len(choices)
        return f"one of {', '.join(choices)}" + (f" and {more} others" if more else "")
    types = schema.get("type") or next((_IMPLIED[keyword] for keyword in schema if keyword in _IMPLIED), None)
    if types is None:
        return ANYTHING
    return " or ".join(_RULES[each](schema) for each in ([types] if isinstance(types, str) else types))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and 0 < len(value) <= 40 and value.isprintable() else clip(value)


def _string(schema: dict[str, Any]) -> str:
    words = RULES.get(schema.get("format", ""), "a string")
    if count := _count(schema, "Length", "character"):
        words += f" of {count}"
    if "pattern" in schema:
        words += f" that the pattern {json.dumps(schema['pattern'][:80], ensure_ascii=False)} matches"
    return words


def _number(noun: str, schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        noun += f" from {low} to {high}"
    else:
        noun += f" of at least {low}" if low is not None else ""
        noun += f" of at most {high}" if high is not None else ""
    for keyword, words in (("exclusiveMinimum", "above"), ("exclusiveMaximum", "below")):
        noun += f" {words} {schema[keyword]}" if keyword in schema else ""
    return noun + (f", a multiple of {schema['multipleOf']}" if "multipleOf" in schema else "")


def _array(schema: dict[str, Any]) -> str:
    count = _count(schema, "Items", "item")
    return "an array" + (f" of {count}" if count else "")


def _object(schema: dict[str, Any]) -> str:
    count = _count(schema, "Properties", "field")
    return "an object" + (f" of {count}" if count else "")


def _count(schema: dict[str, Any], what: str, noun: str) -> str:
    low, high = schema.get(f"min{what}"), schema.get(f"max{what}")
    last = low if high is None else high
    noun = noun if last == 1 else f"{noun}s"
    if low and high is not None:
        return f"{low} {noun}" if low == high else f"{low} to {high} {noun}"
    if high is not None:
        return f"at most {high} {noun}"
    return f"at least {low} {noun}" if low else ""


_RULES: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "string": _string,
    "integer": lambda schema: _number("an integer", schema),
    "number": lambda schema: _number("a number", schema),
    "array": _array,
    "object": _object,
    "boolean": lambda schema: "true or false",
    "null": lambda schema: "null",
}
