"""Times are written in the contract's one form."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from tasks.times import utc_iso


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1795386693.123, "2026-11-22T22:31:33.123Z"),
        (1795386693.1239, "2026-11-22T22:31:33.123Z"),
        (1795386693, "2026-11-22T22:31:33.000Z"),
    ],
)
def test_seconds_in_the_contracts_form(seconds: float, text: str) -> None:
    """UTC, always with milliseconds, cut off and not rounded."""
    assert utc_iso(seconds) == text


def test_whole_seconds() -> None:
    """On request without a fraction."""
    assert utc_iso(1795386693.9, precision="seconds") == "2026-11-22T22:31:33Z"


def test_now_is_the_default() -> None:
    """Without an argument it is this moment."""
    before = time.time()
    assert before - 0.001 <= datetime.fromisoformat(utc_iso()).timestamp() <= time.time()


@pytest.mark.parametrize("milliseconds", range(0, 1000, 7))
def test_a_time_that_was_read_is_written_the_same(milliseconds: int) -> None:
    """The way through a float of seconds loses no millisecond."""
    text = f"2026-11-22T22:31:33.{milliseconds:03d}Z"
    assert utc_iso(datetime.fromisoformat(text).timestamp()) == text
