"""A message off the queue, read without trust: ours, or put aside with a reason.

Celery and kombu would crash the worker, loop, or drop the message without a word, each for another of
these faults. Only what our tasks use is handed on; what a producer wrote into other headers is not.
"""

from __future__ import annotations

import binascii
from datetime import UTC, datetime
from typing import Any, Final

from tasks.contract import BATCH_TASK_NAME, ENQUEUED_AT_HEADER, JOB_ID_MAX_CHARS, TASK_NAME
from tasks.exceptions import AigcError
from tasks.frozen import value
from tasks.json_text import loads
from worker.domain.canvas import is_signature

_TASKS: Final = (TASK_NAME, BATCH_TASK_NAME)
_EMBEDDED: Final = {"callbacks": list, "errbacks": list, "chain": list, "chord": dict}


class Malformed(AigcError, ValueError):
    """These bytes are no Celery message of ours."""


@value(frozen=True, slots=True)
class Message:
    """A checked message.

    ``arguments`` is Celery's (args, kwargs, embed). ``due_s`` and ``expires_s`` are seconds since the
    epoch, None where the producer set none. ``jobs`` is how many jobs it carries.
    """

    job_id: str
    task: str
    delivery_tag: str
    arguments: tuple[list[Any], dict[str, Any], dict[str, Any]]
    headers: dict[str, Any]
    jobs: int
    due_s: float | None
    expires_s: float | None

    @property
    def plain(self) -> bool:
        """Whether nothing but its jobs hangs on it: no callbacks, no chain, for Celery to see to."""
        embedded = self.arguments[2]
        return not embedded or not any(embedded.get(name) for name in _EMBEDDED)

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
    """Read a message.

    Raises:
        Malformed: it is no Celery message of ours in JSON, naming what is wrong.
    """
    try:
        message = loads(raw)
        headers, properties = message["headers"], message["properties"]
        job_id, task = headers["id"], headers["task"]
        encoding = properties.get("body_encoding")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(f"not a Celery message in JSON: {type(error).__name__}: {error}"[:200]) from None
    if message.get("content-type") != "application/json":
        raise Malformed(f"content-type must be application/json, got {message.get('content-type')!r:.60}")
    if not isinstance(job_id, str) or not 0 < len(job_id) <= JOB_ID_MAX_CHARS or not job_id.isprintable():
        raise Malformed(f"headers.id must be a string of 1 to {JOB_ID_MAX_CHARS} printable characters")
    if task not in _TASKS:
        raise Malformed(f"headers.task must be {TASK_NAME} or {BATCH_TASK_NAME}, got {task!r:.60}")
    arguments = _arguments(message.get("body"), encoding)
    return Message(
        job_id,
        task,
        delivery_tag,
        arguments,
        _headers(job_id, task, headers.get(ENQUEUED_AT_HEADER)),
        _count(task, arguments[0]),
        _seconds(headers.get("eta")),
        _seconds(headers.get("expires")),
    )


def _headers(message_id: str, task: str, enqueued_at: Any) -> dict[str, Any]:
    return {
        "id": message_id,
        "task": task,
        "root_id": message_id,
        "argsrepr": "",
        "kwargsrepr": "",
        ENQUEUED_AT_HEADER: enqueued_at,
    }


def _arguments(body: Any, encoding: Any) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    try:
        if encoding == "base64":
            body = binascii.a2b_base64(body, strict_mode=True)
        args, kwargs, embedded = loads(body)
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise Malformed(f"body must be [args, kwargs, embed] in JSON: {type(error).__name__}") from None
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
