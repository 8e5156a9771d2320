"""A message off the queue, read without trust: ours, or put aside with a reason.

Celery and kombu would crash the worker, loop, or drop the message without a word, each for another of
these faults. Only what our tasks use is handed on; what a producer wrote into other headers is not.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from tasks.checks import JOB_ID_RULE, clip, is_job_id
from tasks.contract import (
    BATCH_TASK_NAME,
    ENQUEUED_AT_HEADER,
    ENQUEUED_MS_RANGE,
    REFUSAL_HEADER,
    TASK_NAME,
)
from tasks.envelope import Job, jobs_of
from tasks.exceptions import AigcError
from tasks.frozen import value
from tasks.json_text import loads
from tasks.trace_context import TRACEPARENT, TRACESTATE, found_in, headers_of
from worker.domain.body import kind_of, read_body, why_not_json
from worker.domain.canvas import is_signature

_TASKS: Final = (TASK_NAME, BATCH_TASK_NAME)
_EMBEDDED: Final = {"callbacks": list, "errbacks": list, "chain": list, "chord": dict}


class Malformed(AigcError, ValueError):
    """These bytes are no Celery message of ours.

    ``job``: whose producer is to be told, where an id and a task's name can be read: the id, and payload and
    metadata as far as they can be made out.
    """

    def __init__(self, reason: str, job: Job | None = None) -> None:
        super().__init__(reason)
        self.job = job


@value(frozen=True, slots=True)
class Message:
    """A checked message.

    ``arguments`` is Celery's (args, kwargs, embed). ``due_s`` and ``expires_s`` are seconds since the
    epoch, None where the producer set none. ``jobs`` is how many jobs it carries. ``remark``: what of it was
    not believed, for whoever runs the producer; "" mostly. ``sent_ms`` is its stamp as the producer wrote it:
    in ``headers`` it is no earlier than the ETA.
    """

    job_id: str
    task: str
    delivery_tag: str
    arguments: tuple[list[Any], dict[str, Any], dict[str, Any]]
    headers: dict[str, Any]
    jobs: int
    due_s: float | None
    expires_s: float | None
    remark: str = ""
    sent_ms: int | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing but its jobs hangs on it: no callbacks, no chain, for Celery to see to."""
        embedded = self.arguments[2]
        return not embedded or not any(embedded.get(name) for name in _EMBEDDED)

    def refused(self, reason: str) -> Message:
        """The same, with a reason for which none of its jobs may be sent."""
        # By its own stamp: one as far ahead as the ETA is of no submission that could be believed.
        return replace(
            self, headers={**self.headers, ENQUEUED_AT_HEADER: self.sent_ms, REFUSAL_HEADER: reason}
        )

    def for_kombu(self, queue: str) -> dict[str, Any]:
        """The message as kombu's virtual transport delivers it; its body stays behind, see `arguments`."""
        return {
            "body": "",
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": self.headers,
            "properties": {
                "delivery_tag": self.delivery_tag,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "correlation_id": self.job_id,
                "expires_s": self.expires_s,
            },
            "arguments": self.arguments,
        }


def parse(raw: bytes, delivery_tag: str) -> Message:
    """Read a message of Celery's protocol 2, or 1.

    Raises:
        Malformed: it is no Celery message of ours in JSON, naming what is wrong.
    """
    message = _outermost(raw)
    headers, triple = message["headers"], None
    if "id" not in headers and "task" not in headers:
        headers, triple = _of_protocol_1(message)
    try:
        return _checked(message, headers, triple, delivery_tag)
    except Malformed as error:
        raise Malformed(str(error), _addressed(message, headers, triple)) from None


def _outermost(raw: bytes) -> dict[str, Any]:
    """The message with its headers and properties, which are objects."""
    try:
        message = loads(raw)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the message {why_not_json(error)}") from None
    if not isinstance(message, dict):
        raise Malformed(f"the message must be a JSON object, got {kind_of(message)}")
    if not (isinstance(message.get("headers"), dict) and isinstance(message.get("properties"), dict)):
        raise Malformed(_what_is_missing(message))
    return message


def _what_is_missing(message: dict[str, Any]) -> str:
    name = "properties" if isinstance(message.get("headers"), dict) else "headers"
    if name not in message:
        return f"{name} is missing: not a message of Celery's"
    return f"{name} must be an object, got {kind_of(message[name])}"


def _of_protocol_1(message: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Headers and body of a message whose body says what headers say since Celery 4."""
    try:
        body = _body(message, message["headers"])
    except Malformed:
        body = None
    if not isinstance(body, dict):
        raise Malformed("headers.id and headers.task are missing")
    headers = {name: body.get(name) for name in ("id", "task", "eta", "expires")}
    for name in (ENQUEUED_AT_HEADER, TRACEPARENT, TRACESTATE):
        headers[name] = message["headers"].get(name)
    embedded = {name: body.get(name) for name in ("callbacks", "errbacks", "chord")}
    return headers, [body.get("args") or [], body.get("kwargs") or {}, embedded]


def _checked(
    message: dict[str, Any], headers: dict[str, Any], triple: list[Any] | None, delivery_tag: str
) -> Message:
    job_id: Any = headers.get("id")
    task = headers.get("task")
    if message.get("content-type") != "application/json":
        raise Malformed(f"content-type must be application/json, got {clip(message.get('content-type'))}")
    if not is_job_id(job_id):
        raise Malformed(f"headers.id must be {JOB_ID_RULE}, got {clip(job_id)}")
    if task not in _TASKS:
        raise Malformed(f"headers.task must be {TASK_NAME} or {BATCH_TASK_NAME}, got {clip(task)}")
    arguments = _arguments(_body(message, headers) if triple is None else triple)
    due_s = _seconds(headers.get("eta"))
    stamp, remark = _stamp(headers.get(ENQUEUED_AT_HEADER))
    return Message(
        job_id,
        task,
        delivery_tag,
        arguments,
        _headers(job_id, task, _later(stamp, due_s)) | headers_of(found_in(headers)),
        _count(task, arguments[0]),
        due_s,
        _seconds(headers.get("expires")),
        remark,
        stamp,
    )


def _addressed(message: dict[str, Any], headers: dict[str, Any], triple: list[Any] | None) -> Job | None:
    """The job of which this was to be the message; None where it cannot be told which."""
    job_id: Any = headers.get("id")
    task = headers.get("task")
    if not (is_job_id(job_id) and isinstance(task, str) and task):
        return None
    try:
        args, kwargs, _ = _arguments(_body(message, headers) if triple is None else triple)
    except Malformed:
        return Job(job_id, {})
    (job, *_) = jobs_of(TASK_NAME, job_id, args, kwargs, {})
    return Job(job_id, job.payload, job.metadata, batch=job.batch, trace=found_in(headers))


def _body(message: dict[str, Any], headers: dict[str, Any]) -> Any:
    try:
        encoding = message["properties"].get("body_encoding")
        return read_body(message.get("body"), encoding, headers.get("compression"))
    except ValueError as error:
        raise Malformed(str(error)) from None


def _stamp(enqueued_at: Any) -> tuple[int | None, str]:
    """When it was enqueued, in ms since the epoch, None where not known; and what was not believed."""
    if enqueued_at is None:
        return None, ""
    low, high = ENQUEUED_MS_RANGE
    if type(enqueued_at) is int and low <= enqueued_at <= high:
        return enqueued_at, ""
    return None, (
        f"{ENQUEUED_AT_HEADER} must be milliseconds since the epoch, a whole number from {low} to {high},"
        f" got {clip(enqueued_at)}: taken for none, so the deadline counts from the first claim"
    )


def _later(stamp: int | None, due_s: float | None) -> int | None:
    """From when the deadline counts, in ms: a job that is to begin later has not waited yet."""
    return stamp if stamp is None or due_s is None else max(stamp, round(due_s * 1000))


def _headers(message_id: str, task: str, enqueued_at: Any) -> dict[str, Any]:
    return {
        "id": message_id,
        "task": task,
        "root_id": message_id,
        "argsrepr": "",
        "kwargsrepr": "",
        ENQUEUED_AT_HEADER: enqueued_at,
    }


def _arguments(body: Any) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    if not isinstance(body, list) or len(body) != 3:
        raise Malformed("body must be [args, kwargs, embed]: an array, an object and an object")
    args, kwargs, embedded = body
    if not isinstance(args, list) or not isinstance(kwargs, dict) or not isinstance(embedded, dict | None):
        raise Malformed("body must be [args, kwargs, embed]: an array, an object and an object")
    embedded = embedded or {}
    for name, kind in _EMBEDDED.items():
        found = embedded.get(name)
        if not isinstance(found, kind | None):
            raise Malformed(f"body: embed.{name} must be null or of type {kind.__name__}")
        if found:
            _check_signatures(name, found)
    return args, kwargs, embedded


def _check_signatures(name: str, found: Any) -> None:
    for index, each in enumerate(found if isinstance(found, list) else (found,)):
        if not is_signature(each):
            raise Malformed(f"body: embed.{name}[{index}] must be a Celery signature: an object with a task")


def _count(task: str, args: list[Any]) -> int:
    if task == BATCH_TASK_NAME and len(args) == 1 and isinstance(args[0], list):
        if not args[0]:
            raise Malformed("a batch must have at least one job")
        return len(args[0])
    return 1


def _seconds(moment: Any) -> float | None:
    """An ISO 8601 time as Celery writes it, as seconds since the epoch; None where it is none."""
    if not isinstance(moment, str):
        return None
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
