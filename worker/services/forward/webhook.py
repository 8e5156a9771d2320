"""From an entry of a stream to the webhook that it is sent as. Pure.

Its id and body are made of the entry alone, so they are the same at each attempt, after a restart, in a
replay, and from each of several forwarders.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from tasks.checks import clip
from tasks.contract import OUTPUT_SCHEMA, RESULT_SCHEMA
from tasks.exceptions import AigcError
from tasks.frozen import value
from tasks.json_text import loads
from tasks.times import TIME_PATTERN, utc_iso
from tasks.trace_context import TraceContext, found_in
from worker.store.forward_values import Stream

MESSAGE_MAX_BYTES: Final = 1_000_000
_TYPES: Final[dict[Stream, str]] = {"results": "job", "outputs": "task"}
_ID: Final[dict[Stream, str]] = {"results": "jobId", "outputs": "taskId"}
_SCHEMAS: Final[dict[Stream, int]] = {"results": RESULT_SCHEMA, "outputs": OUTPUT_SCHEMA}
_STATUS: Final = re.compile(r"[a-z][a-z_]{0,39}")
_TIME: Final = re.compile(TIME_PATTERN, re.ASCII)


class NotForwardable(AigcError, ValueError):
    """What stands in the stream is no result, or no output."""


class NewerEntry(NotForwardable):
    """It is one of a later version, which says in another way whose it is, or how that ended."""


@value(frozen=True, slots=True)
class Webhook:
    """One message. ``job`` says with which others it keeps its order; ``type`` is such as job.submitted;
    ``at`` when that was so; ``text`` is the JSON as it was published, ``trace`` the context that it says.
    """

    message_id: str
    type: str
    job: str
    at: str
    text: str
    trace: TraceContext | None = None

    @property
    def body(self) -> str:
        """What is sent, and signed."""
        return f'{{"type":"{self.type}","timestamp":"{self.at}","data":{self.text}}}'


def webhook_of(stream: Stream, entry_id: str, text: bytes) -> Webhook:
    """The webhook of one entry.

    Args:
        text: the JSON that was published; it is sent as it is.

    Raises:
        NotForwardable: it is no JSON object with an id and a status, or has more than 1,000,000 bytes.
        NewerEntry: it has none, and is of a later schema.
    """
    found = _object(text)
    own, status, schema = found.get(_ID[stream]), found.get("status"), found.get("schema")
    fault = NewerEntry if type(schema) is int and schema > _SCHEMAS[stream] else NotForwardable
    if not isinstance(own, str) or not own:
        raise fault(f"{_ID[stream]} must be a text, got {clip(own)}")
    if not isinstance(status, str) or not _STATUS.fullmatch(status):
        raise fault(f"status must be a word, got {clip(status)}")
    job = found.get("jobId")
    return Webhook(
        message_id=_message_id(stream, entry_id, text),
        type=f"{_TYPES[stream]}.{status}",
        job=job if isinstance(job, str) and job else f"task {own}",
        at=_time(found, entry_id),
        text=text.decode(),
        trace=found_in(found),
    )


def _object(text: bytes) -> dict[str, Any]:
    if len(text) > MESSAGE_MAX_BYTES:
        raise NotForwardable(f"it has {len(text):,} bytes, at most {MESSAGE_MAX_BYTES:,} are sent")
    try:
        text.decode()
        found = loads(text)
    except RecursionError:
        raise NotForwardable("it is nested too deep") from None
    except ValueError:
        raise NotForwardable("it is no JSON") from None
    if not isinstance(found, dict):
        raise NotForwardable("it is no JSON object")
    return found


def _message_id(stream: Stream, entry_id: str, text: bytes) -> str:
    # With the text: two queues' entries, of two servers perhaps, may have one id.
    digest = hashlib.sha256(b"\0".join((stream.encode(), entry_id.encode(), text))).hexdigest()
    return f"msg_{entry_id}-{digest[:12]}"


def _time(found: dict[str, Any], entry_id: str) -> str:
    """When the job, or the task, ended; else when that was published."""
    at = found.get("finishedAt")
    if isinstance(at, str) and _TIME.fullmatch(at):
        return at
    return utc_iso(min(int(entry_id.partition("-")[0]) / 1000, 253_402_300_799))
