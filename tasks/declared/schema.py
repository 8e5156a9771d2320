"""What a schema of the file may say: a part of JSON Schema 2020-12 that is checked in bounded time. Pure.

Whatever would be passed over in silence is refused, for a limit that is misspelt limits nothing: keywords and
formats that are not checked here, and references that lead elsewhere, which nobody fetches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import unquote

from . import Fault
from .formats import FORMATS
from .patterns import pattern_fault

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_ONE: Final = frozenset(
    ("items", "contains", "additionalProperties", "propertyNames", "not", "if", "then", "else")
)
_MANY: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_NAMED: Final = frozenset(("properties", "$defs", "dependentSchemas"))
_OF_THE_SAME_VALUE: Final = frozenset(
    ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
)
KEYWORDS: Final = (
    *sorted(_ONE | _MANY | _NAMED),
    *("type", "enum", "const", "required", "dependentRequired", "minProperties", "maxProperties"),
    *("minItems", "maxItems", "uniqueItems", "minContains", "maxContains"),
    *("minLength", "maxLength", "pattern", "format"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "$ref"),
    *("$schema", "$comment", "title", "description", "default", "examples"),
    *("deprecated", "readOnly", "writeOnly"),
)
"""All that may be used; the last two lines only tell something. Of our own there may be `x-…`."""


class Schemas:
    """Every schema within a document, by its JSON pointer: "#", "#/properties/seed" and so on.

    Args:
        document: right by the metaschema, so each keyword's value has its type.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.all: dict[str, Any] = {}
        self._paths: dict[str, str] = {}
        self._collect(document, "#", "algoInput")

    def _collect(self, schema: Any, pointer: str, path: str) -> None:
        self.all[pointer], self._paths[pointer] = schema, path
        for keyword, name, below in _below(schema):
            step = keyword if name is None else f"{keyword}/{_escaped(name)}"
            spelt = keyword if name is None else f"{keyword}.{name}"
            self._collect(below, f"{pointer}/{step}", f"{path}.{spelt[:80]}")

    def target(self, reference: str) -> Any:
        """The schema to which a reference leads; None where it is none of this document's."""
        return self.all.get(unquote(reference))

    def faults(self) -> Iterator[Fault]:
        """What must not stand in them."""
        for pointer, schema in self.all.items():
            if isinstance(schema, dict):
                yield from self._faults_of(schema, self._paths[pointer])
            elif schema is False and not pointer.endswith("/additionalProperties"):
                # jsonschema does not tell at which place of the value.
                yield self._paths[pointer], "must not be false but in additionalProperties"
        yield from self._endless()

    def _faults_of(self, schema: dict[str, Any], path: str) -> Iterator[Fault]:
        for keyword, value in schema.items():
            if keyword not in KEYWORDS and not keyword.startswith("x-"):
                near = get_close_matches(keyword, KEYWORDS, 1)
                hint = f": did you mean {near[0]}?" if near else f"; there are {', '.join(KEYWORDS)}"
                yield f"{path}.{keyword[:40]}", f"is no keyword that is checked here{hint}"
            elif words := self._fault_of(keyword, value):
                yield f"{path}.{keyword}", words

    def _fault_of(self, keyword: str, value: Any) -> str | None:
        if keyword == "$ref" and self.target(value) is None:
            return "must lead to a schema of this algoInput, such as #/$defs/NAME"
        if keyword == "format" and value not in FORMATS:
            return f"must be one of {', '.join(FORMATS)}: another one would not be checked"
        if keyword == "pattern":
            return pattern_fault(value)
        if keyword == "$schema" and value.removesuffix("#") != DIALECT:
            return f"must be {DIALECT}"
        return None

    def _endless(self) -> Iterator[Fault]:
        """References that come back to themselves without going down into the value: no check would end."""
        ended: set[int] = set()

        def comes_back(schema: Any, above: tuple[int, ...]) -> bool:
            if id(schema) in above:
                return True
            if not isinstance(schema, dict) or id(schema) in ended:
                return False
            next_ones = [below for keyword, _, below in _below(schema) if keyword in _OF_THE_SAME_VALUE]
            if "$ref" in schema:
                next_ones.append(self.target(schema["$ref"]))
            found = any(comes_back(each, (*above, id(schema))) for each in next_ones)
            ended.add(id(schema))
            return found

        for pointer, schema in self.all.items():
            if comes_back(schema, ()):
                yield (
                    self._paths[pointer],
                    "must not refer to itself for the same value: a check would not end",
                )
                return


def _below(schema: Any) -> Iterator[tuple[str, str | None, Any]]:
    """The schemas right within a schema: the keyword, where among several, and the schema."""
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        if keyword in _ONE:
            yield keyword, None, value
        elif keyword in _MANY:
            yield from ((keyword, str(index), each) for index, each in enumerate(value))
        elif keyword in _NAMED:
            yield from ((keyword, name, each) for name, each in value.items())


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
