"""What jsonschema finds, in our words: the field's path, what it must be, what it is. Pure.

jsonschema's own messages repeat the whole value, which may be a prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

from ..checks import clip
from ..image_url import image_url_fault
from . import Fault
from .formats import IMAGE_URL
from .rules import rule_of
from .schema import Schemas


class Finding(Protocol):
    """What is used of jsonschema's errors."""

    schema: Any
    validator: Any
    validator_value: Any
    instance: Any
    context: Any

    @property
    def absolute_path(self) -> Sequence[str | int]:
        """From the value that was checked to the one that is wrong."""

    @property
    def relative_schema_path(self) -> Sequence[str | int]:
        """From the schema to its keyword."""


_NAMES_MOST: Final = 20


class Words:
    """Says what is wrong with a value of this schema.

    Args:
        schema: the whole one, within which references lead.
        name: what it is of, for "… takes a, b".
    """

    def __init__(self, schema: dict[str, Any], name: str) -> None:
        self._schemas = Schemas(schema)
        self._root = schema
        self._name = name

    def of(self, error: Finding) -> Iterator[Fault]:
        """One or more fields for one finding."""
        path = spelt(error.absolute_path)
        schema = error.schema if isinstance(error.schema, dict) else {}
        match error.validator, error.validator_value:
            case "required", list(names):
                for name in _missing(names, error.instance):
                    below = self._resolved(schema.get("properties", {}).get(name, True))
                    rule = rule_of(below, self._resolved)
                    yield f"{path}.{name[:40]}", f"is missing: must be {rule}"
            case "dependentRequired", dict(needs):
                for given, names in needs.items():
                    if given in error.instance:
                        for name in _missing(names, error.instance):
                            yield f"{path}.{name[:40]}", f"is missing: must stand beside {given[:40]}"
            case "additionalProperties", False:
                yield from self._unknown(path, schema, error.instance)
            case _:
                yield path, self._must(error, schema)

    def _must(self, error: Finding, schema: dict[str, Any]) -> str:
        got = f"got {clip(error.instance)}"
        if "propertyNames" in list(error.relative_schema_path)[:-1]:
            return f"must have as a name {rule_of(schema, self._resolved)}, {got}"
        if error.validator in ("not", "contains", "minContains", "maxContains", "uniqueItems"):
            return f"must {_OTHERS[str(error.validator)]}, {got}"
        if error.validator in ("anyOf", "oneOf"):
            return self._alternatives(error, got)
        reason = ""
        if error.validator == "format" and error.validator_value == IMAGE_URL:
            reason = f": {image_url_fault(error.instance)}"
        if error.validator in ("minItems", "maxItems"):
            got = f"got {len(error.instance)} items"
        return f"must be {rule_of(schema, self._resolved)}, {got}{reason}"

    def _alternatives(self, error: Finding, got: str) -> str:
        choices: list[Any] = error.validator_value
        if not error.context and error.validator == "oneOf":
            return f"must fit one alternative only of {len(choices)} (oneOf), {got}"
        rules = {rule_of(self._resolved(each), self._resolved): None for each in choices}
        if len(rules) == len(choices):
            return f"must be {' or '.join(rules)}, {got}"
        return f"must fit one of {len(choices)} alternatives ({error.validator}), {got}"

    def _unknown(self, path: str, schema: dict[str, Any], instance: dict[str, Any]) -> Iterator[Fault]:
        known = schema.get("properties", {})
        who = self._name if schema is self._root else "it"
        for name in [name for name in instance if name not in known][:_NAMES_MOST]:
            yield f"{path}.{name[:40]}", f"unknown field: {who} takes {_listed(known)}"

    def _resolved(self, schema: Any) -> Any:
        """The schema to which a mere reference leads; itself where it is more."""
        for _ in range(10):
            if not (isinstance(schema, dict) and "$ref" in schema and "type" not in schema):
                break
            schema = self._schemas.target(schema["$ref"])
        return schema


_OTHERS: Final = {
    "not": "not be what its schema excludes (not)",
    "contains": "contain an item that its schema asks for (contains)",
    "minContains": "contain more items that its schema asks for (minContains)",
    "maxContains": "contain fewer items that its schema asks for (maxContains)",
    "uniqueItems": "have no item twice",
}


def spelt(parts: Iterable[str | int]) -> str:
    """The path of a field of algoInput, such as "algoInput.images[2].url"."""
    return "algoInput" + "".join(f"[{part}]" if isinstance(part, int) else f".{part[:40]}" for part in parts)


def _missing(names: list[str], instance: dict[str, Any]) -> list[str]:
    return [name for name in names if name not in instance]


def _listed(names: Iterable[str]) -> str:
    shown = [name[:40] for name in names]
    more = len(shown) - _NAMES_MOST
    return ", ".join(shown[:_NAMES_MOST]) + (f" and {more} others" if more > 0 else "") or "none"
