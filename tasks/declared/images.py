"""Which fields of an input are images, by `format = "image-url"` in its schema. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .formats import IMAGE_URL
from .schema import Schemas
from .words import spelt

Path = tuple[str | int, ...]


class Images:
    """The images of inputs.

    Args:
        schema: one without faults.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schemas = Schemas(schema)
        self._root = schema
        each = self._schemas.all.values()
        self._any = any(isinstance(one, dict) and one.get("format") == IMAGE_URL for one in each)

    def of(self, algo_input: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Path and URL of each, in the schema's order: nested ones and those of arrays too.

        A string that cannot be a URL, such as "none", is no image: another alternative takes it.
        """
        if not self._any:
            return
        given: set[Path] = set()
        for path, text in self._walk(self._root, algo_input, (), set()):
            if path not in given and "//" in text:
                given.add(path)
                yield spelt(path), text

    def _walk(
        self, schema: Any, value: Any, path: Path, seen: set[tuple[int, Path]]
    ) -> Iterator[tuple[Path, str]]:
        # Each schema once for each value: references could multiply without end.
        if not isinstance(schema, dict) or (id(schema), path) in seen:
            return
        seen.add((id(schema), path))
        if isinstance(value, str):
            if schema.get("format") == IMAGE_URL:
                yield path, value
        elif isinstance(value, dict):
            yield from self._of_fields(schema, value, path, seen)
        elif isinstance(value, list):
            yield from self._of_items(schema, value, path, seen)
        for other in self._of_the_same(schema):
            yield from self._walk(other, value, path, seen)

    def _of_the_same(self, schema: dict[str, Any]) -> Iterator[Any]:
        """The schemas that are of the same value."""
        if "$ref" in schema:
            yield self._schemas.target(schema["$ref"])
        for keyword in ("allOf", "anyOf", "oneOf"):
            yield from schema.get(keyword, ())
        yield from (schema[keyword] for keyword in ("if", "then", "else") if keyword in schema)
        yield from schema.get("dependentSchemas", {}).values()

    def _of_fields(
        self, schema: dict[str, Any], value: dict[str, Any], path: Path, seen: set[tuple[int, Path]]
    ) -> Iterator[tuple[Path, str]]:
        fields = schema.get("properties", {})
        for name, below in fields.items():
            if name in value:
                yield from self._walk(below, value[name], (*path, name), seen)
        for name in value:
            if name not in fields:
                yield from self._walk(schema.get("additionalProperties"), value[name], (*path, name), seen)

    def _of_items(
        self, schema: dict[str, Any], value: list[Any], path: Path, seen: set[tuple[int, Path]]
    ) -> Iterator[tuple[Path, str]]:
        first = schema.get("prefixItems", [])
        for index, item in enumerate(value):
            below = first[index] if index < len(first) else schema.get("items")
            yield from self._walk(below, item, (*path, index), seen)
            yield from self._walk(schema.get("contains"), item, (*path, index), seen)
