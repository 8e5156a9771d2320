"""A body read as JSON, strictly: what other readers would take for something else is refused. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NoReturn

from pydantic_core import from_json

from worker.services.events.values import Refusal


def read_json(body: bytes | str) -> Any:
    """The value. Of two members of one name the last one counts, as everywhere.

    Raises:
        ValueError: it is no JSON: NaN and Infinity are none, nor what is nested a thousand levels deep.
    """
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        # What pydantic's reader alone refuses: half of a surrogate pair, a byte order mark.
        try:
            return json.loads(body, parse_constant=_no_number)
        except RecursionError:
            raise ValueError("nested too deep") from None


def read_object(body: bytes) -> dict[str, Any] | Refusal:
    """The object that a body must be."""
    try:
        found = read_json(body)
    except ValueError:
        return Refusal(400, "the body must be JSON")
    return found if isinstance(found, dict) else Refusal(400, "the body must be a JSON object")


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number in JSON")


def ms_of(moment: object) -> int | None:
    """An ISO 8601 time in ms since the epoch; None where it is none."""
    if not isinstance(moment, str):
        return None
    try:
        when = datetime.fromisoformat(moment)
        return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def text_of(identity: object) -> str:
    """An id, a number or a text, as text; "" where it is neither."""
    if isinstance(identity, bool):
        return ""
    return str(identity) if isinstance(identity, int | str) else ""
