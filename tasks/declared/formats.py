"""The formats of strings that a schema of the file may ask for. Pure.

Those of JSON Schema that are checked depend on what else is installed: these are the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Final

from ..image_url import IMAGE_URL_RULE, image_url_fault

IMAGE_URL: Final = "image-url"
"""A string that is the URL of an image: what the image preflight looks at."""

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)


def _is_date(text: str) -> bool:
    with suppress(ValueError):
        return bool(_DATE.fullmatch(text) and date.fromisoformat(text))
    return False


def _is_date_time(text: str) -> bool:
    with suppress(ValueError):
        return bool(_TIME.fullmatch(text) and datetime.fromisoformat(text.upper()))
    return False


FORMATS: Final[Mapping[str, Callable[[str], bool]]] = {
    IMAGE_URL: lambda text: image_url_fault(text) is None,
    "uri": lambda text: bool(_URI.fullmatch(text)),
    "date": _is_date,
    "date-time": _is_date_time,
    "email": lambda text: bool(_EMAIL.fullmatch(text)),
    "uuid": lambda text: bool(_UUID.fullmatch(text)),
}

RULES: Final[Mapping[str, str]] = {
    IMAGE_URL: IMAGE_URL_RULE,
    "uri": "a URI",
    "date": "a date such as 2026-11-22",
    "date-time": "a time such as 2026-11-22T22:31:33Z",
    "email": "an e-mail address",
    "uuid": "a UUID",
}
"""In words that go after "must be"."""
