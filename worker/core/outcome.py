"""What an attempt turned out to be: a reply of the vendor's side, or the lack of one, as an Outcome.

The vendor's own JSON decides before the HTTP status does. What no row of the table names is Unknown:
the one outcome that neither loses a job nor buys it twice.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final, NoReturn

TASK_ID_MAX_CHARS: Final = 256
ERROR_CODE_MAX_CHARS: Final = 200
ERROR_MSG_MAX_CHARS: Final = 500
RETRY_AFTER_MAX_S: Final = 86_400.0


class Kind(StrEnum):
    """The seven ways an attempt can turn out."""

    ACCEPTED = "accepted"
    VENDOR_FAULT = "vendor_fault"
    THROTTLED = "throttled"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    MISCONFIGURED = "misconfigured"


_KIND_OF_CODE: Final = {
    "INTCNN_COMMON_SYS_ERROR": Kind.VENDOR_FAULT,
    "INTCNN_COMMON_PARAM_VALID_ERROR": Kind.REJECTED,
    "INTCNN_COMMON_AUTH_CHECK_ERROR": Kind.MISCONFIGURED,
    "INTCNN_COMMON_NOT_FOUND": Kind.MISCONFIGURED,
}
_KIND_OF_STATUS: Final = {
    429: Kind.THROTTLED,
    503: Kind.THROTTLED,
    400: Kind.REJECTED,
    413: Kind.REJECTED,
    422: Kind.REJECTED,
    401: Kind.MISCONFIGURED,
    403: Kind.MISCONFIGURED,
    404: Kind.MISCONFIGURED,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the vendor's side answered: the application, or a gateway before it.

    ``body`` is what could be read of it; ``truncated`` says that there was more, or should have been.
    ``retry_after`` and ``date`` are the headers of these names.
    """

    status: int
    body: bytes
    retry_after: str | None = None
    date: str | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer. ``sent=False``: surely no byte of the request left this machine for the vendor."""

    sent: bool
    detail: str
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt, classified.

    ``error_code`` is the vendor's, without a trailing colon, or ours (``AIGC_…``) where it gave none.
    ``clock_skew_s`` is how far this machine's clock is ahead of the vendor's (negative: behind), known
    only for Misconfigured, and only where the answer had a date.
    """

    kind: Kind
    task_id: str | None = None
    error_code: str | None = None
    error_msg: str | None = None
    retry_after_s: float | None = None
    http_status: int | None = None
    clock_skew_s: float | None = None


def classify(answer: Reply | Failure, *, now: float | None = None) -> Outcome:
    """Classify one attempt; total: no answer, however odd, makes it raise.

    Args:
        answer: what the vendor client returned.
        now: seconds since the epoch, for the clock's skew and for a Retry-After that is a date.
    """
    if isinstance(answer, Failure):
        return _of_failure(answer)
    envelope = _envelope(answer.body)
    if envelope is None:
        kind = _kind_of_status(answer.status)
        return _failed(kind, answer, _code_of_status(answer), "no answer in the vendor's format", now)
    if envelope["success"]:
        return _of_success(envelope, answer)
    code = _printable(envelope.get("errorCode") or "", ERROR_CODE_MAX_CHARS).strip().rstrip(":")
    message = envelope.get("errorMsg")
    return _failed(
        _kind_of_error(code, answer.status),
        answer,
        code or "AIGC_NO_ERROR_CODE",
        message if isinstance(message, str) else None,
        now,
    )


def _of_failure(failure: Failure) -> Outcome:
    if not failure.sent:
        kind, code = Kind.NOT_SENT, "AIGC_NOT_SENT"
    else:
        kind, code = Kind.UNKNOWN, "AIGC_READ_TIMEOUT" if failure.timed_out else "AIGC_CONNECTION_LOST"
    return Outcome(kind, error_code=code, error_msg=_printable(failure.detail, ERROR_MSG_MAX_CHARS))


def _of_success(envelope: dict[str, Any], reply: Reply) -> Outcome:
    task_id = envelope.get("model")
    if (
        isinstance(task_id, str)
        and task_id.strip()
        and task_id.isprintable()
        and len(task_id) <= TASK_ID_MAX_CHARS
    ):
        return Outcome(Kind.ACCEPTED, task_id=task_id, http_status=reply.status)
    return Outcome(
        Kind.UNKNOWN,
        error_code="AIGC_NO_TASK_ID",
        error_msg="success without a task id",
        http_status=reply.status,
    )


def _failed(kind: Kind, reply: Reply, code: str, message: str | None, now: float | None) -> Outcome:
    skew = None
    if kind is Kind.MISCONFIGURED and now is not None:
        vendor_now = _seconds_of_date(reply.date)
        skew = None if vendor_now is None else now - vendor_now
    return Outcome(
        kind,
        error_code=code,
        error_msg=None if message is None else _printable(message, ERROR_MSG_MAX_CHARS),
        retry_after_s=_retry_after_s(reply, now),
        http_status=reply.status,
        clock_skew_s=skew,
    )


def _kind_of_error(code: str, status: int) -> Kind:
    """The kind of ``success: false``: by a code we know, else by a status that speaks of load."""
    if code in _KIND_OF_CODE:
        return _KIND_OF_CODE[code]
    by_status = _kind_of_status(status)
    if by_status is Kind.THROTTLED:
        return by_status
    # Without any code a 5xx is no more than a gateway that happens to speak JSON.
    return Kind.REJECTED if code or 200 <= status < 300 else by_status


def _kind_of_status(status: int) -> Kind:
    if 300 <= status < 400:
        return Kind.MISCONFIGURED
    return _KIND_OF_STATUS.get(status, Kind.UNKNOWN)


def _code_of_status(reply: Reply) -> str:
    if not 200 <= reply.status < 300:
        return f"AIGC_HTTP_{reply.status}"
    return "AIGC_TRUNCATED" if reply.truncated else "AIGC_NOT_JSON"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_decoder: Final = json.JSONDecoder(parse_constant=_refuse)


def _envelope(body: bytes) -> dict[str, Any] | None:
    """The vendor's answer, or None where the body is not in its format.

    A truncated body needs no care of its own: no proper prefix of a JSON object is a JSON object.
    """
    try:
        answer = _decoder.decode(body.decode().lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("success"), bool):
        return None
    return answer if isinstance(answer.get("errorCode"), str | None) else None


def _printable(text: str, limit: int) -> str:
    """At most ``limit`` characters that UTF-8 can carry: JSON may escape lone surrogates."""
    return text[:limit].encode("utf-8", "replace").decode()


def _retry_after_s(reply: Reply, now: float | None) -> float | None:
    value = (reply.retry_after or "").strip()[:64]
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return min(float(value), RETRY_AFTER_MAX_S)
    due = _seconds_of_date(value)
    # Measured on the vendor's own clock where it told us: ours may be wrong.
    start = _seconds_of_date(reply.date) or now
    if due is None or start is None:
        return None
    return min(max(due - start, 0.0), RETRY_AFTER_MAX_S)


def _seconds_of_date(value: str | None) -> float | None:
    """An HTTP date as seconds since the epoch, or None."""
    if not value or len(value) > 64:
        return None
    try:
        date = parsedate_to_datetime(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
