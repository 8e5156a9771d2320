"""What an attempt turned out to be: a reply of the vendor's side, or the lack of one, as an Outcome.

The vendor's own JSON decides before the HTTP status does. What no row of the table names is Unknown:
the one outcome that neither loses a job nor buys it twice.
"""

from __future__ import annotations

import json
import string
from dataclasses import field, replace
from enum import IntEnum, StrEnum
from typing import Any, Final

from tasks.checks import is_task_id as is_task_id
from tasks.frozen import value
from worker.domain.dates import retry_after_s, seconds_of_date
from worker.domain.envelope import envelope_of, excerpt_of, holds_task, may_tell_a_purchase, printable

TASK_ID_WITHOUT_SUCCESS: Final = "AIGC_TASK_ID_WITHOUT_SUCCESS"
ERROR_CODE_MAX_CHARS: Final = 200
ERROR_MSG_MAX_CHARS: Final = 500
SHOWN_MODEL_MAX_CHARS: Final = 100


class OutcomeKind(StrEnum):
    """The seven ways an attempt can turn out."""

    ACCEPTED = "accepted"
    VENDOR_FAULT = "vendor_fault"
    THROTTLED = "throttled"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    MISCONFIGURED = "misconfigured"


_KIND_OF_CODE: Final = {
    "INTCNN_COMMON_SYS_ERROR": OutcomeKind.VENDOR_FAULT,
    "INTCNN_COMMON_PARAM_VALID_ERROR": OutcomeKind.REJECTED,
    "INTCNN_COMMON_AUTH_CHECK_ERROR": OutcomeKind.MISCONFIGURED,
    "INTCNN_COMMON_NOT_FOUND": OutcomeKind.MISCONFIGURED,
}
_CODE_ENDS: Final = string.whitespace + ":\N{FULLWIDTH COLON}"
"""What may stand behind a code: the vendor's page prints one with a colon."""

_KIND_OF_STATUS: Final = {
    429: OutcomeKind.THROTTLED,
    503: OutcomeKind.THROTTLED,
    400: OutcomeKind.REJECTED,
    413: OutcomeKind.REJECTED,
    422: OutcomeKind.REJECTED,
    401: OutcomeKind.MISCONFIGURED,
    403: OutcomeKind.MISCONFIGURED,
    404: OutcomeKind.MISCONFIGURED,
    # Refused before the application, for what all jobs have in common: path, method, headers, address.
    405: OutcomeKind.MISCONFIGURED,  # also Alibaba Cloud's firewall, to a client that it takes for a flood
    407: OutcomeKind.MISCONFIGURED,  # a proxy wants credentials
    410: OutcomeKind.MISCONFIGURED,  # the path is no more
    411: OutcomeKind.MISCONFIGURED,  # our Content-Length was lost on the way
    414: OutcomeKind.MISCONFIGURED,  # the path never changes
    415: OutcomeKind.MISCONFIGURED,  # nor does the Content-Type
    417: OutcomeKind.MISCONFIGURED,  # somebody on the way added an Expect
    421: OutcomeKind.MISCONFIGURED,  # a server of another host
    426: OutcomeKind.MISCONFIGURED,  # wants another protocol
    431: OutcomeKind.MISCONFIGURED,  # all jobs' headers are as long
    451: OutcomeKind.MISCONFIGURED,  # not to be served where this worker is
}
_REFUSES_CALLER: Final = frozenset({401, 403})
_GATEWAY_FAILED: Final = frozenset({502, 504})
_BEFORE_AN_UNNAMED_CODE: Final = _REFUSES_CALLER | _GATEWAY_FAILED
"""Statuses that decide where the page does not name the code: a disabled key refuses every job alike, and
behind a gateway that failed a job may have been taken."""

# Not here, and so Unknown: 406, which frameworks answer after the handler has run, as they cannot write what
# it returned; 408, 409, 425 and 499, which speak of a request that may be under way.


class OtherWorkers(IntEnum):
    """What is known of other workers when an attempt of this one failed on its way to the vendor."""

    NONE = 0  # none has sent anything lately
    SEND = 1  # some send
    SUCCEED = 2  # some have had a success since this one's began to fail


@value(frozen=True, slots=True)
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


@value(frozen=True, slots=True)
class Failure:
    """No answer. ``sent=False``: surely no byte of the request left this machine for the vendor.

    ``local``: this machine's own trouble, such as no file descriptors left; it says nothing of the vendor.
    ``foreign``: an answer came, and it was that to another request.
    """

    sent: bool
    detail: str
    timed_out: bool = False
    local: bool = False
    foreign: bool = False


@value(frozen=True, slots=True)
class Outcome:
    """One attempt, classified.

    ``error_code`` is the vendor's, without a trailing colon, or ours (``AIGC_…``) where it gave none.
    ``clock_skew_s`` is how far this machine's clock is ahead of the vendor's (negative: behind), known
    only for Misconfigured, and only where the answer had a date.
    ``excerpt`` is what came as an answer that leaves it unknown whether the job was bought, as it came but
    for its length: it may hold a task id, and it may quote the job.
    ``from_application``: the vendor's own application answered, whatever it said. ``local``: as in Failure.
    ``perhaps_the_jobs``: a Misconfigured that may be this one job's own fault: the status says so, beside a
    code that the vendor's page does not name.
    """

    kind: OutcomeKind
    task_id: str | None = None
    error_code: str | None = None
    error_msg: str | None = None
    retry_after_s: float | None = None
    http_status: int | None = None
    clock_skew_s: float | None = None
    excerpt: str | None = field(default=None, repr=False)
    from_application: bool = False
    local: bool = False
    perhaps_the_jobs: bool = False


def classify(answer: Reply | Failure, *, now: float | None = None) -> Outcome:
    """Classify one attempt; total: no answer, however odd, makes it raise.

    Args:
        answer: what the vendor client returned.
        now: seconds since the epoch, for the clock's skew and for a Retry-After that is a date.
    """
    if isinstance(answer, Failure):
        return _of_failure(answer)
    envelope = envelope_of(answer.body)
    if envelope is None:
        return _of_others(answer, now)
    if envelope["success"]:
        return _of_success(envelope, answer)
    return _of_refusal(envelope, answer, now)


def _of_failure(failure: Failure) -> Outcome:
    if not failure.sent:
        kind, code = OutcomeKind.NOT_SENT, "AIGC_NOT_SENT"
    else:
        kind, code = OutcomeKind.UNKNOWN, "AIGC_READ_TIMEOUT" if failure.timed_out else "AIGC_CONNECTION_LOST"
        code = "AIGC_FOREIGN_ANSWER" if failure.foreign else code
    return Outcome(
        kind,
        error_code="AIGC_LOCAL_FAULT" if failure.local else code,
        error_msg=printable(failure.detail, ERROR_MSG_MAX_CHARS),
        local=failure.local,
    )


def _of_others(reply: Reply, now: float | None) -> Outcome:
    """What is not the vendor's JSON: the status decides, unless the body may tell of a purchase."""
    kind, message = _kind_of_status(reply.status), "no answer in the vendor's format"
    if kind is not OutcomeKind.UNKNOWN and may_tell_a_purchase(reply.body):
        kind, message = OutcomeKind.UNKNOWN, "no answer in the vendor's format, but it may tell of a task"
    return _failed(kind, reply, _code_of_status(reply), message, now)


def _of_success(envelope: dict[str, Any], reply: Reply) -> Outcome:
    task_id = envelope.get("model")
    if isinstance(task_id, str) and is_task_id(task_id):
        return Outcome(OutcomeKind.ACCEPTED, task_id=task_id, http_status=reply.status, from_application=True)
    return Outcome(
        OutcomeKind.UNKNOWN,
        error_code="AIGC_NO_TASK_ID",
        error_msg=f"success without a task id: model is {_shown(task_id)}",
        http_status=reply.status,
        excerpt=excerpt_of(reply.body),
        from_application=True,
    )


def _of_refusal(envelope: dict[str, Any], reply: Reply, now: float | None) -> Outcome:
    given = envelope.get("errorCode") or ""
    code = printable(given, ERROR_CODE_MAX_CHARS).strip().rstrip(_CODE_ENDS)
    message = envelope.get("errorMsg")
    message = message if isinstance(message, str) else None
    if holds_task(envelope):
        # A task id proves that something was bought, whatever went wrong after that.
        said = ": ".join(filter(None, (code, message))) or "no success"
        told = f"the vendor names a task, but says {said}"
        return _failed(OutcomeKind.UNKNOWN, reply, TASK_ID_WITHOUT_SUCCESS, told, now, from_application=True)
    kind = _kind_of_error(code, reply.status)
    by_gateway = kind is OutcomeKind.UNKNOWN and reply.status in _GATEWAY_FAILED
    outcome = _failed(
        kind, reply, code or "AIGC_NO_ERROR_CODE", message, now, from_application=not by_gateway
    )
    if kind is OutcomeKind.MISCONFIGURED and code and code.upper() not in _KIND_OF_CODE:
        return replace(outcome, perhaps_the_jobs=True)
    return outcome


def _failed(
    kind: OutcomeKind,
    reply: Reply,
    code: str,
    message: str | None,
    now: float | None,
    from_application: bool = False,
) -> Outcome:
    skew = None
    if kind is OutcomeKind.MISCONFIGURED and now is not None:
        vendor_now = seconds_of_date(reply.date)
        skew = None if vendor_now is None else now - vendor_now
    return Outcome(
        kind,
        error_code=code,
        error_msg=None if message is None else printable(message, ERROR_MSG_MAX_CHARS),
        retry_after_s=retry_after_s(reply.retry_after, reply.date, now),
        http_status=reply.status,
        clock_skew_s=skew,
        excerpt=excerpt_of(reply.body) if kind is OutcomeKind.UNKNOWN else None,
        from_application=from_application,
    )


def _shown(model: Any) -> str:
    if isinstance(model, dict | list):
        return "an object" if isinstance(model, dict) else "an array"
    return json.dumps(model)[:SHOWN_MODEL_MAX_CHARS]


def _kind_of_error(code: str, status: int) -> OutcomeKind:
    """The kind of ``success: false``: by a code we know, else by a status that tells whose fault it is."""
    known = _KIND_OF_CODE.get(code.upper())
    if known is not None:
        return known
    by_status = _kind_of_status(status)
    if by_status is OutcomeKind.THROTTLED or (code and status in _BEFORE_AN_UNNAMED_CODE):
        return by_status
    # Without any code a 5xx is no more than a gateway that happens to speak JSON.
    return OutcomeKind.REJECTED if code or 200 <= status < 300 else by_status


def _kind_of_status(status: int) -> OutcomeKind:
    if 300 <= status < 400:
        return OutcomeKind.MISCONFIGURED
    return _KIND_OF_STATUS.get(status, OutcomeKind.UNKNOWN)


def _code_of_status(reply: Reply) -> str:
    if not 200 <= reply.status < 300:
        return f"AIGC_HTTP_{reply.status}"
    return "AIGC_TRUNCATED" if reply.truncated else "AIGC_NOT_JSON"
