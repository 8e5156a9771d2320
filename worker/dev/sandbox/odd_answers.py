"""Answers of a vendor that took the job and then says so oddly: each tells of a purchase, by its task id."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import uuid4

from worker.dev.sandbox import page
from worker.dev.sandbox.kinds import FaultKind


def new_task_id(kind: FaultKind | None) -> str:
    """An id for a task that is accepted now; an odd one where that is the fault."""
    task_id = uuid4()
    if kind is FaultKind.NUMBER_TASK_ID:
        return str(task_id.int)
    return str(task_id) * 9 if kind is FaultKind.LONG_TASK_ID else str(task_id)


def _with(task_id: str, **changes: Any) -> bytes:
    """The right answer but for these fields."""
    return json.dumps({**json.loads(page.envelope(task_id)), **changes}).encode()


def _nested(task_id: str) -> bytes:
    return _with(task_id, model={"taskId": task_id, "status": "WAITING", "ossPath": None})


def _contradiction(task_id: str) -> bytes:
    refusal = page.envelope(None, page.SYS_ERROR, "服务端未知异常")
    return page.envelope(task_id)[:-1] + b"," + refusal[1:]


def _but(code: str) -> Callable[[str], bytes]:
    return lambda task_id: page.envelope(task_id, code, "a task id all the same")


ODD_ANSWERS: Final[Mapping[FaultKind, Callable[[str], bytes]]] = {
    FaultKind.ACCEPTED_STATUS: page.envelope,
    FaultKind.BOM: lambda task_id: b"\xef\xbb\xbf" + page.envelope(task_id),
    FaultKind.NO_TASK_ID: lambda _task_id: page.envelope(None),
    FaultKind.NUMBER_TASK_ID: lambda task_id: _with(task_id, model=int(task_id)),
    FaultKind.NESTED_TASK_ID: _nested,
    FaultKind.LONG_TASK_ID: page.envelope,
    FaultKind.TRAILING: lambda task_id: page.envelope(task_id) + b"\r\n<!-- served by a proxy -->",
    FaultKind.TEXT_SUCCESS: lambda task_id: _with(task_id, success="true"),
    FaultKind.CONTRADICTION: _contradiction,
    FaultKind.SYS_ERROR_WITH_TASK_ID: _but(page.SYS_ERROR),
    FaultKind.PARAM_ERROR_WITH_TASK_ID: _but(page.PARAM_VALID_ERROR),
    FaultKind.AUTH_ERROR_WITH_TASK_ID: _but(page.AUTH_CHECK_ERROR),
}
"""From the task's id to the body of an answer."""
