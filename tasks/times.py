"""Times as the contract writes them. Pure but for the clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final, Literal

TIME_RULE: Final = "UTC, ISO 8601 with milliseconds."
TIME_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"
"""How times of messages look, in words and for JSON Schema."""


def utc_iso(
    seconds: float | None = None, *, precision: Literal["seconds", "milliseconds"] = "milliseconds"
) -> str:
    """Seconds since the epoch, by default now, such as `2026-11-22T22:31:33.123Z`; the rest is cut off.

    Raises ValueError or OverflowError for a time before the year 1 or after 9999.
    """
    moment = datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC)
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
