"""What the vendor says of a task when it is asked: an answer, however odd, as one of a few values. Pure."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from tasks.frozen import value
from worker.domain.dates import retry_after_s
from worker.domain.envelope import envelope_of, printable

WAITING: Final = "WAITING"
RUNNING: Final = "RUNNING"
SUCCESS: Final = "SUCCESS"
PENDING_STATUSES: Final = frozenset({WAITING, RUNNING})
FAILURE_STATUSES: Final = frozenset(
    {
        "AIGC_ERROR",
        "LW_REQUEST_ERROR",
        "LW_RESULT_ERROR",
        "TIMEOUT",
        "FC_ERROR",
        "UNKNOWN_ERROR",
        "SUBMIT_ERROR",
    }
)
"""How a task ends without a picture, by the vendor's page."""

STATUS_MAX_CHARS: Final = 64
CODE_MAX_CHARS: Final = 200
MESSAGE_MAX_CHARS: Final = 500
URL_MAX_CHARS: Final = 8192

_SYS_ERROR: Final = "INTCNN_COMMON_SYS_ERROR"
_PARAM_VALID_ERROR: Final = "INTCNN_COMMON_PARAM_VALID_ERROR"
NOT_FOUND: Final = "INTCNN_COMMON_NOT_FOUND"
"""The path, or perhaps the task: one answer alone does not tell."""

_REFUSING_CODES: Final = frozenset({"INTCNN_COMMON_AUTH_CHECK_ERROR", NOT_FOUND})
_CODE_ENDS: Final = string.whitespace + ":\N{FULLWIDTH COLON}"

_THROTTLING: Final = frozenset({429, 503})
_REFUSING: Final = frozenset({401, 403, 404, 405, 407, 411, 415, 417, 421, 426, 431, 451})
"""Statuses of what all queries have in common: keys, path, method, headers, address."""
_OF_THIS_TASK: Final = frozenset({400, 410, 413, 414, 422})
"""Statuses that may speak of the one thing in which queries differ, the task's id."""


@value(frozen=True, slots=True)
class Pending:
    """The task has not ended. ``is_known``: the vendor's page names this status."""

    vendor_status: str
    is_known: bool


@value(frozen=True, slots=True)
class Succeeded:
    """The task has ended, and its picture or clip is at ``url``, which expires."""

    url: str


@value(frozen=True, slots=True)
class Failed:
    """The task has ended with one of `FAILURE_STATUSES`, and there is no picture."""

    vendor_status: str


@value(frozen=True, slots=True)
class Unanswered:
    """Nothing was learned, by the vendor's or the network's fault; ``reason`` in words. Ask again.

    ``vendor_status``: the vendor's own word, where it said one without what belongs to it.
    """

    reason: str
    vendor_status: str | None = None


@value(frozen=True, slots=True)
class Throttled:
    """There were too many queries; ``retry_after_s`` is for how long to wait, where the vendor says so."""

    retry_after_s: float | None


@value(frozen=True, slots=True)
class Refused:
    """Queries are refused, whatever task they ask about: signature, keys, path, or a redirect."""

    code: str
    message: str


@value(frozen=True, slots=True)
class TaskUnknown:
    """The vendor does not know this task, or takes its id for invalid."""

    code: str
    message: str


QueryOutcome = Pending | Succeeded | Failed | Unanswered | Throttled | Refused | TaskUnknown


def read_query_answer(
    status: int, headers: Mapping[str, str], body: bytes, task_id: str, now: float | None = None
) -> QueryOutcome:
    """What one answer says of a task; total: no answer, however odd, makes it raise.

    The vendor's own JSON decides before the HTTP status does, but for 429 and 503.

    Args:
        status: of HTTP.
        headers: of the answer, by their names in lower case (or regardless of case).
        body: what could be read of it.
        task_id: which task was asked about.
        now: seconds since the epoch, for a Retry-After that is a date.
    """
    envelope = envelope_of(body)
    if envelope is not None and envelope["success"]:
        return _of_model(envelope.get("model"), task_id)
    if status in _THROTTLING:
        return Throttled(retry_after_s(headers.get("retry-after"), headers.get("date"), now))
    if envelope is not None:
        return _of_refusal(envelope, status, task_id)
    return _of_status(status, f"AIGC_HTTP_{status}", "no answer in the vendor's format")


def _of_model(model: Any, task_id: str) -> QueryOutcome:
    if not isinstance(model, dict):
        return Unanswered("success without a model that is an object")
    named = model.get("taskId")
    # An answer to another query, late on the connection, would give this task another's picture.
    if named is not None and named != task_id:
        return Unanswered("the answer is about another task")
    status = _status_of(model)
    if status is None:
        return Unanswered("success without a status that is a text")
    if status == SUCCESS:
        url = _url_of(model.get("ossPath"))
        if url is None:
            return Unanswered("SUCCESS without an ossPath that is a URL", SUCCESS)
        return Succeeded(url)
    if status in FAILURE_STATUSES:
        return Failed(status)
    return Pending(status, status in PENDING_STATUSES)


def _status_of(model: dict[str, Any]) -> str | None:
    """The status, as the vendor's page writes it where it names it; None where there is none."""
    given = model.get("status")
    if not isinstance(given, str) or not given.strip():
        return None
    status = printable(given.strip(), STATUS_MAX_CHARS)
    known = status.upper()
    return known if known == SUCCESS or known in PENDING_STATUSES | FAILURE_STATUSES else status


def _url_of(given: Any) -> str | None:
    """A URL of the web, as it came but for blanks around it; None where it is none."""
    if not isinstance(given, str) or len(given) > URL_MAX_CHARS:
        return None
    url = given.strip()
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return None
    # urlsplit drops line ends and tabs within; what comes out of that is not what came.
    return url if is_url and url.isprintable() and " " not in url else None


def _of_refusal(envelope: dict[str, Any], status: int, task_id: str) -> QueryOutcome:
    model = envelope.get("model")
    if isinstance(model, dict) and model.get("taskId") == task_id:
        failed = _status_of(model)
        if failed in FAILURE_STATUSES:
            return Failed(failed)
    given = envelope.get("errorCode") or ""
    code = printable(given, CODE_MAX_CHARS).strip().rstrip(_CODE_ENDS)
    said = envelope.get("errorMsg")
    message = printable(said, MESSAGE_MAX_CHARS) if isinstance(said, str) else ""
    match code.upper():
        case "":
            return _of_status(status, f"AIGC_HTTP_{status}", message or "no success, and no code")
        case known if known in _REFUSING_CODES:
            return Refused(known, message)
        case known if known == _PARAM_VALID_ERROR:
            return TaskUnknown(known, message)
        case known if known == _SYS_ERROR:
            return Unanswered(f"{known}: {message}" if message else known)
    if status in _REFUSING or status >= 500:
        return _of_status(status, code, message)
    return TaskUnknown(code, message)


def _of_status(status: int, code: str, message: str) -> QueryOutcome:
    if 300 <= status < 400:
        return Refused(code, f"a redirect (HTTP {status}), which is not followed")
    if status in _REFUSING:
        return Refused(code, message)
    if status in _OF_THIS_TASK:
        return TaskUnknown(code, message)
    return Unanswered(f"HTTP {status}: {message}")
