"""What an endpoint's answer means. Pure."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from tasks.frozen import value

RETRY_AFTER_MOST_S: Final = 3600.0
"""An endpoint is not left alone for longer than that, whatever it asks for."""

_GONE: Final = 410
_BUSY: Final = frozenset({429, 502, 503, 504})


class WebhookOutcome(StrEnum):
    """What became of an attempt."""

    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"


@value(frozen=True, slots=True)
class Answer:
    """An attempt's end, in words for people; ``retry_after_s``: the endpoint asks to be left alone.

    ``status``: of the HTTP answer; None where there was none.
    """

    outcome: WebhookOutcome
    words: str
    retry_after_s: float | None = None
    status: int | None = None


def of_response(status: int, retry_after: str | None) -> Answer:
    """What an HTTP answer means. Only 2xx is taken for a yes; a redirect is a failure, it is never followed.

    Args:
        retry_after: that header; seconds are understood, a date is not.
    """
    if 200 <= status < 300:
        return Answer(WebhookOutcome.DELIVERED, f"HTTP {status}", status=status)
    if status == _GONE:
        return Answer(WebhookOutcome.GONE, "HTTP 410: it wants no more webhooks", status=status)
    words = f"HTTP {status}" + (", a redirect, which is not followed" if 300 <= status < 400 else "")
    asked = retry_after.strip() if retry_after and status in _BUSY else ""
    after_s = min(float(asked), RETRY_AFTER_MOST_S) if re.fullmatch(r"[0-9]{1,9}", asked, re.ASCII) else None
    return Answer(WebhookOutcome.FAILED, words, after_s, status)


def of_failure(words: str) -> Answer:
    """What it means that no answer came."""
    return Answer(WebhookOutcome.FAILED, words)
