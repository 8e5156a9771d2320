"""A job's keyword arguments: which this version knows, which a later one may, and which none will. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from .checks import check_json, clip
from .contract import METADATA_MAX_BYTES
from .exceptions import InvalidPayload

KNOWN: Final = ("metadata", "unlisted", "batch")

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NEVER: Final = frozenset(
    (
        *(
            "self",
            "args",
            "kwargs",
            "payload",
            "prompt",
            "id",
            "job_id",
            "task",
            "task_id",
            "queue",
            "priority",
        ),
        *(
            "routing_key",
            "exchange",
            "serializer",
            "compression",
            "countdown",
            "delay",
            "eta",
            "expires",
            "retry",
        ),
        *("retries", "retry_policy", "max_retries", "link", "link_error", "chain", "chord", "callbacks"),
        *(
            "errbacks",
            "headers",
            "ignore_result",
            "time_limit",
            "soft_time_limit",
            "dedupe_key",
            "dedupe_ttl_s",
        ),
    )
)
"""What belongs into other parts of a message, or to functions: no later version makes an argument of it."""


def newer_arguments(options: Mapping[Any, Any]) -> dict[str, Any]:
    """Those that a later version may know.

    Raises InvalidPayload for one that none will: a misspelt name, or one that belongs elsewhere.
    """
    newer = {name: value for name, value in options.items() if name not in KNOWN}
    for name, value in newer.items():
        if meant := _meant(name):
            raise InvalidPayload([(clip(name), f"no such argument; did you mean {meant}?")])
        if name in _NEVER or not (isinstance(name, str) and _NAME.fullmatch(name)):
            raise InvalidPayload([(clip(name), "no such argument")])
        check_json(value, name, most_bytes=METADATA_MAX_BYTES)
    return newer


def _meant(name: object) -> str | None:
    """The argument of which this may be a misspelling."""
    import difflib  # rarely needed

    return next(iter(difflib.get_close_matches(str(name)[:40].lower(), KNOWN, 1)), None)
