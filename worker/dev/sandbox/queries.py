"""What the sandbox says of its tasks: the answer to a query, right or as a rule has it, and the file."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qs
from uuid import uuid4

from worker.dev.sandbox import links, page
from worker.dev.sandbox.files import File, file_of
from worker.dev.sandbox.kinds import FaultKind, Target
from worker.dev.sandbox.ledger import ANSWERED, AUTH_REFUSED, PARAM_REFUSED, Post, Task
from worker.dev.sandbox.state import PlannedAnswer, Refusal, Sandbox
from worker.domain.query import SUCCESS


def judge(sandbox: Sandbox, headers: Mapping[bytes, bytes], query: str, base_url: str) -> PlannedAnswer:
    """Check one query, decide what to answer and write it down.

    The checks come before the rules, as for a submit.

    Args:
        headers: names in lower case.
        query: the URL's query as received.
        base_url: scheme, host and port as the client reached the sandbox.
    """
    form = sandbox.config.query_form
    request_id = headers.get(form.request_id_header.lower().encode(), b"").decode("latin-1")
    task_id = next(iter(parse_qs(query).get("taskId", ())), "")
    post, arrived = sandbox.ledger.task(task_id), time.monotonic()
    refusal = _refusal(sandbox, headers, query, request_id, post)
    if refusal is not None or post is None or post.task is None:
        refusal = refusal or Refusal(page.PARAM_VALID_ERROR, "taskId is not known")
        outcome = AUTH_REFUSED if refusal.code == page.AUTH_CHECK_ERROR else PARAM_REFUSED
        sandbox.queries.record(arrived, outcome, request_id)
        return PlannedAnswer(sandbox.config.error_status, page.envelope(None, *refusal))
    rule = sandbox.fault(Target.QUERY, post.task.rules, task_id.encode())
    sandbox.queries.record(arrived, rule.kind.value if rule else ANSWERED, request_id)
    model = model_of(post, task_id, base_url, sandbox.epoch_s)
    if rule is not None and rule.kind in _MISREPORTS:
        return PlannedAnswer(200, _answer(_MISREPORTS[rule.kind](model)))
    return PlannedAnswer(200, _answer(model), rule)


def _refusal(
    sandbox: Sandbox, headers: Mapping[bytes, bytes], query: str, request_id: str, post: Post | None
) -> Refusal | None:
    config = sandbox.config
    uri = f"{page.QUERY_PATH}?{query}"
    why = page.unauthentic_query(
        headers, uri, config.query_form, sandbox.keys, time.time(), config.clock_skew_s
    )
    if why is None and sandbox.queries.has_seen(request_id):
        why = "the request id was used before"
    return None if why is None else Refusal(page.AUTH_CHECK_ERROR, why)


def model_of(post: Post, task_id: str, base_url: str, epoch_s: float) -> dict[str, Any]:
    """What the vendor's page has under ``model``, as it stands now.

    Args:
        post: by which the task was accepted.
        task_id: whose answer it is.
        base_url: as in :func:`judge`.
        epoch_s: seconds since the epoch at which the monotonic clock was 0.
    """
    assert post.task is not None
    status = status_of(post)
    url = None
    if status == SUCCESS:
        # The link lives from the task's end on, so that each query gives the same one.
        life = post.task.life
        expires_s = math.floor(epoch_s + post.arrived + life.ends_after_s + life.link_s)
        url = links.link(base_url, task_id, file_of(post.task.workflow, task_id), expires_s)
    return {"taskId": task_id, "status": status, "ossPath": url}


def status_of(post: Post) -> str:
    """The vendor's word for an accepted post, now."""
    assert post.task is not None
    return post.task.life.status(time.monotonic() - post.arrived)


def file_named(sandbox: Sandbox, name: str) -> tuple[str, Task, File] | None:
    """The task's id, the task and its file, where there is a file of that name by now."""
    task_id, _, extension = name.rpartition(".")
    post = sandbox.ledger.task(task_id)
    if post is None or post.task is None or status_of(post) != SUCCESS:
        return None
    file = file_of(post.task.workflow, task_id)
    return (task_id, post.task, file) if file.extension == extension else None


def shown(post: Post) -> dict[str, Any]:
    """A task as the control API shows it, with the hash of the file that it makes."""
    assert post.task_id is not None
    assert post.task is not None
    file = file_of(post.task.workflow, post.task_id)
    return {
        "taskId": post.task_id,
        "workflow": post.task.workflow,
        "status": status_of(post),
        "ending": post.task.life.ending,
        "ends": post.arrived + post.task.life.ends_after_s,
        "sha256": sha256(file.content).hexdigest() if post.task.life.ending == SUCCESS else None,
        "bytes": len(file.content),
        "contentType": file.content_type,
    }


def _answer(model: Any) -> bytes:
    answer = {"success": True, "model": model, "errorCode": None, "errorMsg": None}
    return json.dumps(answer, separators=(",", ":")).encode()


_MISREPORTS: Final[Mapping[FaultKind, Callable[[dict[str, Any]], Any]]] = {
    FaultKind.OTHER_TASK: lambda model: {**model, "taskId": str(uuid4())},
    FaultKind.ODD_STATUS: lambda model: {**model, "status": "QUEUEING", "ossPath": None},
    FaultKind.NO_URL: lambda model: {**model, "status": SUCCESS, "ossPath": None},
    FaultKind.NO_MODEL: lambda model: None,
    FaultKind.WRONG_TYPES: lambda model: {**model, "status": 3, "ossPath": ["a"]},
}
"""From the right model to one that it should not be."""
