"""When a signed URL ends. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from worker.preflight.values import Code, Fault

SENDING_TAKES_S: Final = 10.0
"""A job that may be sent is on its way so soon; the vendor fetches its pictures after that."""

_FROM_DATE: Final = (
    ("x-amz-date", "x-amz-expires"),
    ("x-oss-date", "x-oss-expires"),
    ("x-goog-date", "x-goog-expires"),
)
_OF_SIGNED: Final = frozenset(
    {
        "signature",
        "ossaccesskeyid",
        "awsaccesskeyid",
        "googleaccessid",
        "key-pair-id",
        "policy",
        "sig",
        "sign",
    }
)
"""What stands beside a bare `Expires` where it is part of a signature, and not some page's own parameter."""


def expired(url: str, at: float) -> Fault | None:
    """The fault of a signed URL that is over at this time, in seconds since the epoch."""
    ends_at = end_of(url)
    if ends_at is None or ends_at > at + SENDING_TAKES_S:
        return None
    over = datetime.fromtimestamp(ends_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Fault(
        Code.URL_EXPIRED,
        f"is a signed URL that ends at {over}: must be one that is valid when the job is sent and fetched",
    )


def end_of(url: str) -> float | None:
    """When a signed URL ends, in seconds since the epoch; None where it does not say."""
    if "xpires" not in url and "xpires" not in url.lower():
        return None
    try:
        query = {name.lower(): text for name, text in parse_qsl(urlsplit(url).query)}
        return _end_of(query)
    except (ValueError, OverflowError, OSError):
        return None  # what it says is no time


def _end_of(query: Mapping[str, str]) -> float | None:
    for date, lasts in _FROM_DATE:
        if date in query and lasts in query:
            began = datetime.strptime(query[date], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            return _checked(began.timestamp() + int(query[lasts]))
    if "x-oss-expires" in query:  # of the second version of its signature: a time itself
        return _checked(float(int(query["x-oss-expires"])))
    if "expires" in query and not _OF_SIGNED.isdisjoint(query):
        return _checked(float(int(query["expires"])))
    return None


def _checked(seconds: float) -> float:
    datetime.fromtimestamp(seconds, UTC)  # raises where no calendar has it
    return seconds
