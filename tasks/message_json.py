"""JSON of messages to consumers, such as results: written, and read though a later version wrote it. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from operator import attrgetter
from types import UnionType
from typing import Any, Final, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic.alias_generators import to_camel

from .checks import clip
from .exceptions import AigcError
from .json_text import dumps, loads

T = TypeVar("T")


class NewerMessage(AigcError, ValueError):
    """What a later version of this program wrote, and only such a one can read."""


class MessageFormat(Generic[T]):
    """How one kind of message stands in JSON: its fields in camel case, `schema` first.

    Args:
        cls: a dataclass with the fields `schema` and `status`, the latter a Literal.
        noun: what one is called, with its article: "a result".
        newer: raised for one of a later version.
        schema: the version that this program writes.
        optional: fields that are left out where they are empty, and may be missing.
    """

    def __init__(
        self,
        cls: type[T],
        *,
        noun: str,
        newer: type[NewerMessage],
        schema: int,
        optional: Collection[str] = (),
    ) -> None:
        hints = get_type_hints(cls)
        names = sorted((each.name for each in fields(cls)), key=lambda name: name != "schema")  # type: ignore[arg-type]
        self._noun, self._newer, self._schema = noun, newer, schema
        self._fields = [(name, to_camel(name), _json_types(hints[name])) for name in names]
        self._keys: Final = [key for _, key, _ in self._fields]
        self._values: Final = attrgetter(*names)
        self._optional = frozenset(map(to_camel, optional))
        self._statuses = frozenset(get_args(hints["status"]))

    def to_json(self, message: T) -> str:
        """Compact ASCII JSON with the contract's keys in the contract's order."""
        document = dict(zip(self._keys, self._values(message), strict=True))
        for key in self._optional:
            if not document[key]:
                del document[key]
        return dumps(document).decode("ascii")

    def values_of(self, text: str | bytes) -> dict[str, Any]:
        """The fields' values out of JSON. Keys that are not in the contract are ignored.

        Raises:
            NewerMessage: it is of a later schema, or has a status that this version does not know.
            ValueError: it is no such message.
        """
        document = self._object(text)
        schema = document.get("schema")
        if type(schema) is int and schema > self._schema:
            raise self._newer(f"{self._noun} of schema {clip(schema)}, this program knows {self._schema}")
        values = {}
        for name, key, types in self._fields:
            if key not in document:
                if key in self._optional:
                    continue
                raise self._not(f"{key} is missing")
            value = values[name] = document[key]
            if type(value) not in types:
                raise self._not(f"{key} is of the wrong type")
        if schema != self._schema:
            raise self._not(f"schema must be {self._schema}")
        if (status := values["status"]) not in self._statuses:
            raise self._newer(f"{self._noun} of status {clip(status)}, which this program does not know")
        return values

    def _object(self, text: str | bytes) -> dict[str, Any]:
        try:
            document = loads(text)
        except RecursionError:
            raise self._not("nested too deep") from None
        except ValueError:
            raise self._not("not JSON") from None
        if not isinstance(document, dict):
            raise self._not("not a JSON object")
        return document

    def _not(self, why: str) -> ValueError:
        return ValueError(f"not {self._noun}: {why}")


def _json_types(hint: Any) -> frozenset[type]:
    """What a value of this type hint is once it was read from JSON."""
    if isinstance(hint, UnionType):
        return frozenset().union(*map(_json_types, get_args(hint)))
    if get_origin(hint) is Literal:
        return frozenset(map(type, get_args(hint)))
    return frozenset({get_origin(hint) or hint})
