"""What hangs on a message in a Celery canvas: read without trust, and what of it follows a job's end. Pure.

On success the callbacks and the rest of the chain follow, with the job's result; on any other end the
errbacks, with the job's id: that is all that Celery gives an errback of another program.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tasks.contract import RESULT_HEADER
from tasks.result import Result

CALLBACKS: Final = "callbacks"
ERRBACKS: Final = "errbacks"

_TYPES: Final = frozenset({"chain", "group", "chord", "chunks", "xmap", "xstarmap"})
"""Celery's kinds of signature beside a plain task's."""

_DEEPEST: Final = 20
_IDS: Final = uuid.UUID("6c1d52a8-5f0b-5b53-9d4e-0d4b8a3d3c6e")


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A signature to send: its arguments, and what of the chain goes on after it.

    `task_id` is the same each time that the same job's end is followed up: a task that is sent twice, by a
    worker that died in between, is one and the same. None where the signature is made of several tasks.
    """

    signature: dict[str, Any]
    argument: Any
    task_id: str | None
    chain: tuple[Any, ...] = ()
    headers: Mapping[str, Any] | None = None


def is_signature(value: object, depth: int = 0) -> bool:
    """Whether Celery can make a signature of it."""
    if not isinstance(value, dict) or depth > _DEEPEST:
        return False
    task, kind = value.get("task"), value.get("subtask_type")
    arguments, options = value.get("kwargs") or {}, value.get("options") or {}
    if not (isinstance(task, str) and task and isinstance(value.get("args"), list | None)):
        return False
    if not (isinstance(arguments, dict) and isinstance(options, dict)):
        return False
    if not isinstance(options.get("headers"), dict | None) or not isinstance(
        options.get("task_id"), str | None
    ):
        return False
    if kind and not (isinstance(kind, str) and kind in _TYPES):
        return False
    within = [each for name in ("link", "link_error") for each in _listed(options.get(name))]
    if kind in ("chain", "group"):
        within += _listed(arguments.get("tasks"))
    elif kind == "chord":
        within += [*_listed(arguments.get("header")), *_listed(arguments.get("body"))]
    return all(is_signature(each, depth + 1) for each in within)


def kind_of(result: Result) -> str:
    """What follows a job that ended so."""
    return CALLBACKS if result.status == "submitted" else ERRBACKS


def follow_ups(embedded: Mapping[str, Any], result: Result) -> list[FollowUp]:
    """What is to be sent now that the job has ended, in its order."""
    fields = json.loads(result.to_json())
    kind = kind_of(result)
    if kind == ERRBACKS:
        return [
            _follow_up(each, result.job_id, f"{result.job_id}/{kind}/{number}", {RESULT_HEADER: fields})
            for number, each in enumerate(embedded.get(ERRBACKS) or ())
        ]
    found = [
        _follow_up(each, fields, f"{result.job_id}/{kind}/{number}")
        for number, each in enumerate(embedded.get(CALLBACKS) or ())
    ]
    if chain := embedded.get("chain"):
        # Celery keeps what is left of a chain from its end.
        last = _follow_up(chain[-1], fields, f"{result.job_id}/chain")
        found.append(FollowUp(last.signature, fields, last.task_id, tuple(chain[:-1])))
    return found


def _follow_up(
    signature: dict[str, Any], argument: Any, name: str, headers: dict[str, Any] | None = None
) -> FollowUp:
    whole: dict[str, Any] = {
        "args": [],
        "kwargs": {},
        "options": {},
        "subtask_type": None,
        "immutable": False,
    }
    whole |= {name: value for name, value in signature.items() if value is not None}
    if headers:
        headers = {**(whole["options"].get("headers") or {}), **headers}
    own = whole["options"].get("task_id")
    task_id = own if own or whole["subtask_type"] else str(uuid.uuid5(_IDS, name))
    return FollowUp(whole, argument, task_id, headers=headers)


def with_headers(
    signature: dict[str, Any], given: Mapping[str, Any], told: Mapping[str, Any]
) -> dict[str, Any]:
    """The signature with these headers of the tasks that it sends at once, beside their own ones.

    Not as an option of what is sent: Celery would put that in the place of the headers that a task has.

    Args:
        given: where a task has none of that name.
        told: whatever a task has.
    """
    kind, arguments = signature.get("subtask_type"), signature.get("kwargs") or {}
    if kind == "chain" and (tasks := _listed(arguments.get("tasks"))):
        first = with_headers(tasks[0], given, told)
        return {**signature, "kwargs": {**arguments, "tasks": [first, *tasks[1:]]}}
    names = {"group": ("tasks",), "chord": ("header", "body")}.get(str(kind))
    if names is not None:
        within = {name: _each_with_headers(arguments.get(name), given, told) for name in names}
        return {**signature, "kwargs": {**arguments, **within}}
    options = signature.get("options") or {}
    headers = {**given, **(options.get("headers") or {}), **told}
    return {**signature, "options": {**options, "headers": headers}} if headers else signature


def _each_with_headers(value: Any, given: Mapping[str, Any], told: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [with_headers(each, given, told) for each in value]
    return with_headers(value, given, told) if value else value


def _listed(value: object) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
