"""Jobs read from a file: one JSON object, a JSON array, or NDJSON, told apart by how it begins. Pure.

NDJSON is read line by line, however long the file; an array or a pretty-printed object is read whole.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final, Protocol

from tasks import InvalidPayload, Submission
from tasks.checks import check_job_id, check_metadata
from tasks.payload import parse
from worker.cli.file_kind import not_json
from worker.domain.unreadable import Unreadable

__all__ = ["Unreadable", "content_id", "read", "submission"]

LINE_MAX_BYTES: Final = 4 * 1024 * 1024
"""No job is as long: the vendor's input is 256 KB at most, each character of it six bytes at most."""

_JOB_FIELDS: Final = frozenset({"payload", "id", "metadata", "unlisted"})
_MARKS_OF_A_JOB: Final = frozenset({"payload", "workflow", "version", "algoInput"})

Line = tuple[int, bytes]


class Source(Protocol):
    """What jobs are read from; a binary file is one."""

    def readline(self, size: int, /) -> bytes:
        """The next line, or so many bytes of it; empty at the end."""

    def read(self) -> bytes:
        """All that is left."""


def read(file: Source) -> Iterator[tuple[str, Any]]:
    """Each place of a file ("line 3", "item 3") with the JSON value there, or with an Unreadable.

    Raises:
        Unreadable: the whole is no JSON by the look of it, or one JSON text and not a right one.
    """
    lines = _lines(file)
    first = next(lines, None)
    if first is None:
        return
    number, begin = first
    lines = _checked(begin, lines)
    if begin.startswith(b"["):
        items = _json(b"\n" * (number - 1) + begin + file.read())
        yield from ((f"item {index}", item) for index, item in enumerate(items, 1))
    elif begin.startswith(b"{") and _goes_on(begin):
        buffered = list(_up_to(LINE_MAX_BYTES, first, lines))
        try:
            yield f"line {number}", _json(b"".join(line for _, line in buffered))
        except Unreadable:
            yield from _each(chain(buffered, lines))
    else:
        yield from _each(chain([first], lines))


def submission(value: Any, *, metadata: dict[str, Any] | None, unlisted: bool) -> Submission:
    """The job that a JSON value describes: a payload in the vendor's shape, or one in a wrapping.

    Args:
        value: ``{"workflow": …}``, or ``{"payload": {"workflow": …}, "id"?, "metadata"?, "unlisted"?}``.
        metadata: of jobs that bring none.
        unlisted: whether jobs that do not say may name an unlisted workflow.

    Raises:
        Unreadable, InvalidPayload: it is no job that may be queued.
    """
    if isinstance(value, Unreadable):
        raise value
    if not isinstance(value, dict):
        raise Unreadable("must be a JSON object")
    if value and not _MARKS_OF_A_JOB & value.keys():
        words = "it has no workflow, version or algoInput"
        raise Unreadable(f"is no job: {words}; jobs of products are made by aigc submit --map")
    job_id = None
    if "payload" in value and "workflow" not in value:
        if unknown := value.keys() - _JOB_FIELDS:
            raise Unreadable(
                f"unknown field {min(unknown)[:40]!r}: a job has {', '.join(sorted(_JOB_FIELDS))}"
            )
        job_id, metadata = value.get("id"), value.get("metadata", metadata)
        unlisted, value = value.get("unlisted", unlisted), value["payload"]
    if not isinstance(unlisted, bool):
        raise Unreadable("unlisted: must be true or false")
    if job_id is not None:
        check_job_id(job_id)
    if metadata is not None:
        check_metadata(metadata)
    if not isinstance(value, dict):
        raise InvalidPayload([("payload", "must be a JSON object")])
    return Submission(parse(value, unlisted=unlisted), job_id=job_id, metadata=metadata, unlisted=unlisted)


def content_id(job: Submission) -> str:
    """A job id that is the same for the same payload, metadata and `unlisted`, and for no others."""
    content = [job.payload, job.metadata or {}, bool(job.unlisted)]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"content-{hashlib.sha256(text.encode()).hexdigest()[:28]}"


def _lines(file: Source) -> Iterator[Line]:
    """Lines that are not blank, with their numbers; of one that is too long only the beginning."""
    number = 0
    while line := file.readline(LINE_MAX_BYTES + 1):
        number += 1
        start = line.removeprefix(codecs.BOM_UTF8).lstrip() if number == 1 else line.lstrip()
        if start:
            yield number, start
        while len(line) > LINE_MAX_BYTES and not line.endswith(b"\n"):
            line = file.readline(LINE_MAX_BYTES + 1)


def _checked(begin: bytes, lines: Iterator[Line]) -> Iterator[Line]:
    """The lines after the first one; raises Unreadable where the two first ones cannot be meant as JSON."""
    # One that is JSON, or begins with it, is not read ahead of: the next line may be long in coming.
    second = None if begin.startswith((b"{", b"[")) else next(lines, None)
    if kind := not_json(begin, second and second[1]):
        raise Unreadable(f"looks like {kind}; nothing was queued")
    return lines if second is None else chain([second], lines)


def _up_to(size: int, first: Line, lines: Iterable[Line]) -> Iterator[Line]:
    for count, line in enumerate(chain([first], lines), 1):
        yield line
        size -= len(line[1])
        # Where the second line is none that goes on, the first was cut off, and others may be long in coming.
        if size < 0 or (count == 2 and line[1].startswith(b"{") and _breaks(first[1] + line[1])):
            return


def _each(lines: Iterable[Line]) -> Iterator[tuple[str, Any]]:
    for number, line in lines:
        try:
            value = _json(line) if len(line) <= LINE_MAX_BYTES else Unreadable("is too long for a job")
        except Unreadable as error:
            value = error
        yield f"line {number}", value


def _goes_on(line: bytes) -> bool:
    """Whether a line is the beginning of a longer JSON text."""
    try:
        json.loads(line.rstrip())
    except json.JSONDecodeError as error:
        return error.pos >= len(error.doc)
    except (ValueError, RecursionError):
        return False
    return False


def _breaks(text: bytes) -> bool:
    """Whether it is no JSON, and nothing after it can make it one."""
    try:
        json.loads(text)
    except ValueError:
        return not _goes_on(text)
    return False


def _json(text: bytes) -> Any:
    try:
        return json.loads(text.decode())
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise Unreadable(f"not JSON: {error.msg} ({where})") from None
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8: byte {text[error.start]:#04x} (byte {error.start + 1})") from None
    except (ValueError, RecursionError):
        raise Unreadable("not JSON that a job could be: nested too deeply, or an endless number") from None
