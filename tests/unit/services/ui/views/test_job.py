"""The page of one job."""

from __future__ import annotations

from typing import Any

from worker.services.ui.views.job import job_view


def details(**changes: Any) -> dict[str, Any]:
    result = {"status": "unknown", "workflow": "A", "version": "1.0.0", "errorCode": "C", "attempts": 2}
    return {
        "jobId": "j", "state": "unknown", "status": "unknown", "attempts": 2, "requestIds": ["r1", "r2"],
        "result": result, "canRetry": True, **changes,
    }  # fmt: skip


def test_a_held_job_tells_what_its_answer_names() -> None:
    """A task id in it is suggested, and not believed."""
    view = job_view(details(answer='{"success":true,"model":"8d0d3c"'), None)
    assert (view.suggested, view.request_ids, view.is_dead_letter) == ("8d0d3c", ("r1", "r2"), True)
    assert dict(view.facts)["Attempts"] == "2"


def test_a_job_that_goes_on_is_no_dead_letter() -> None:
    """It tells in which phase it is."""
    view = job_view(details(state="sending", status=None, result=None, canRetry=False), None)
    assert (view.is_dead_letter, view.phase) == (False, "an attempt is being sent")
