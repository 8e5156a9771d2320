"""What Celery's clients make of values that JSON has no type for: known again, and made plain strings. Pure.

kombu writes a UUID as `{"__type__": "uuid", "__value__": {"hex": …}}`, and a time in the same way. Its own
readers make objects of them; nobody else knows what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

_KEYS: Final = {"__type__", "__value__"}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError


_STRINGS: Final[dict[str, Callable[[Any], str]]] = {
    "uuid": lambda value: str(UUID(hex=value["hex"])),
    "datetime": lambda value: datetime.fromisoformat(value).isoformat(),
    "date": lambda value: date.fromisoformat(value).isoformat(),
    "time": lambda value: time.fromisoformat(value).isoformat(),
    "decimal": lambda value: str(Decimal(_text(value))),
    "bytes": _text,
    "base64": _text,
}
"""By kombu's name of a type: the value as a string; any of the errors below where it is none of that type."""

_NO_SUCH_VALUE: Final = (ValueError, TypeError, KeyError, AttributeError, InvalidOperation)


def plain(value: Any) -> Any:
    """A JSON value with strings in the place of what kombu wrote.

    What only looks like it, as a time that is none, stays as it came. Where there is nothing of the kind the
    whole is the same object.
    """
    if isinstance(value, list):
        items = [plain(item) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    if (string := _as_string(value)) is not None:
        return string
    fields = {name: plain(item) for name, item in value.items()}
    return fields if any(fields[name] is not value[name] for name in value) else value


def typed_values(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Where kombu wrote what JSON has no type for: pairs of a path and what must stand there."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from typed_values(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        if _as_string(value) is not None:
            yield path, f"must be a JSON value, got what Celery makes of a {value['__type__']}: send a string"
            return
        for name, item in value.items():
            yield from typed_values(item, f"{path}.{name[:40]}")


def _as_string(value: dict[str, Any]) -> str | None:
    if value.keys() != _KEYS or not isinstance(value["__type__"], str):
        return None
    with suppress(*_NO_SUCH_VALUE):
        return _STRINGS[value["__type__"]](value["__value__"])
    return None
