"""All that is known of one job, for its page. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

from tasks.frozen import value
from worker.domain.envelope import task_id_in
from worker.services.ui.views.letters import MEANS


@value(frozen=True, slots=True)
class JobView:
    """A job's page. ``facts`` by name; ``answer`` is what the vendor said where that leaves it open whether
    the job was bought, ``suggested`` the task id that it seems to name. ``payload`` is JSON, None unless
    asked for."""

    job_id: str
    status: str
    phase: str
    means: str
    facts: tuple[tuple[str, str], ...]
    request_ids: tuple[str, ...]
    answer: str
    suggested: str
    is_dead_letter: bool
    can_retry: bool
    workflow: str
    payload: str | None


_PHASES: Final = {
    "unknown": "held for a decision",
    "reserved": "queued, or taken by a worker",
    "sending": "an attempt is being sent",
    "waiting": "waits for its next attempt",
    "orphan": "its worker died: another one decides",
    "accepted": "ended: the vendor accepted it",
}

_FACTS: Final = (
    ("enqueuedAt", "Queued"), ("finishedAt", "Ended"), ("dueAt", "Next attempt"),
    ("cancelAskedAt", "Cancelled"), ("attempts", "Attempts"), ("taskId", "Task id"), ("owner", "Worker"),
)  # fmt: skip
_OF_RESULT: Final = (
    ("workflow", "Workflow"), ("version", "Version"), ("errorCode", "Error code"), ("errorMsg", "Message"),
    ("finishedAt", "Ended"),
)  # fmt: skip


def job_view(details: dict[str, Any], payload: str | None) -> JobView:
    """The page of one job, of what `aigc failed show` has."""
    result = details["result"] or {}
    facts = {label: result[name] for name, label in _OF_RESULT if result.get(name) not in (None, "")}
    for name, label in _FACTS:
        if details.get(name) not in (None, ""):
            facts.setdefault(label, details[name])
    if details.get("possibleDuplicate") or result.get("possibleDuplicate"):
        facts["Possible duplicate"] = "yes: an earlier attempt may have been accepted"
    if result.get("metadata"):
        facts["Metadata"] = json.dumps(result["metadata"], ensure_ascii=False)
    state, status = details.get("state") or "", result.get("status") or details.get("status") or ""
    held = status == "unknown" and state in ("unknown", "")
    answer = details.get("answer") or ""
    return JobView(
        job_id=details["jobId"],
        status=status or state,
        phase=_PHASES.get(state, "ended" if state else "no record is left of it"),
        means=MEANS.get(status, ""),
        facts=tuple((label, str(told)) for label, told in facts.items()),
        request_ids=tuple(details.get("requestIds") or ()),
        answer=answer,
        suggested=(task_id_in(answer) or "") if held else "",
        is_dead_letter=bool(result),
        can_retry=bool(details["canRetry"]),
        workflow=result.get("workflow") or "",
        payload=payload,
    )
