"""The filters of a mapping's templates: Jinja2's own where their work is bounded, and some of ours. Pure."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import Any, Final

from jinja2 import Undefined
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.filters import do_striptags
from jinja2.tests import TESTS as JINJA_TESTS

from worker.mapping.urls import clean_url

_MADE_MAX_CHARS: Final = 1_000_000
_MARKUP_MAX_CHARS: Final = 50_000
_DIGITS_MAX: Final = 40

_KEPT: Final = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "first", "items", "last", "length", "list"),
    *("lower", "map", "max", "min", "reject", "rejectattr", "reverse", "round", "select", "selectattr"),
    *("sort", "sum", "title", "trim", "truncate", "unique", "upper", "urlencode", "wordcount"),
)


def _replace(value: Any, old: Any, new: Any) -> str:
    """Every occurrence of `old` replaced by `new`."""
    text, old, new = str(value), str(old), str(new)
    if len(text) + text.count(old) * len(new) > _MADE_MAX_CHARS:
        raise ValueError("replace makes a text that is too long")
    return text.replace(old, new)


def _join(values: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    """The values as one text; `attribute` is the field of each that is meant."""
    found = [value.get(attribute, "") if attribute else value for value in values]
    texts = [str(value) for value in found if value is not None]
    if sum(map(len, texts)) + len(texts) * len(separator) > _MADE_MAX_CHARS:
        raise ValueError("join makes a text that is too long")
    return separator.join(texts)


def _striptags(markup: Any) -> str:
    """The text of HTML, of its first 50,000 characters: longer ones are slow to strip, on purpose or not."""
    return do_striptags(str(markup)[:_MARKUP_MAX_CHARS])


def _whole(value: Any) -> int:
    """A whole number, as a cell has it ("1024", 1024.0)."""
    try:
        text = str(value).strip()[: _DIGITS_MAX + 1]
        number = float(text)
        if len(text) <= _DIGITS_MAX and number.is_integer():
            return int(text) if text.lstrip("+-").isdecimal() else int(number)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"must be a whole number, got {_shown(value)}")


def _number(value: Any) -> float:
    """A number, as a cell has it ("19.90")."""
    try:
        if len(text := str(value).strip()) <= _DIGITS_MAX and math.isfinite(number := float(text)):
            return number
    except ValueError:
        pass
    raise ValueError(f"must be a number, got {_shown(value)}")


def _required(value: Any) -> Any:
    """The value, which must not be empty."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if value is None or (isinstance(value, str | list | dict) and not value) or not str(value).strip():
        raise ValueError("is empty")
    return value


def _unescape(text: Any) -> str:
    """HTML entities as the characters that they stand for."""
    return html.unescape(str(text))


def _shown(value: Any) -> str:
    return repr(str(value)[:40])


FILTERS: Final[dict[str, Any]] = {
    **{name: JINJA_FILTERS[name] for name in _KEPT},
    "replace": _replace,
    "join": _join,
    "striptags": _striptags,
    "int": _whole,
    "float": _number,
    "required": _required,
    "unescape": _unescape,
    "url": lambda text: clean_url(str(text)),
}
TESTS: Final[dict[str, Any]] = {
    name: test for name, test in JINJA_TESTS.items() if name not in ("callable", "filter", "test")
}
