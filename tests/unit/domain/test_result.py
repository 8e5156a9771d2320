"""The result of a job: what is told of its ending, whatever its payload was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.envelope import Job
from worker.domain.outcome import Outcome, OutcomeKind
from worker.domain.result import result_of

MOMENT = datetime(2026, 11, 22, 22, 31, 33, 123_456, UTC).timestamp()


def test_a_result_tells_the_job_its_ending_and_its_moment() -> None:
    """Ids, workflow and metadata are the job's, task and error the outcome's; the moment is cut to its ms."""
    job = Job("a-job", {"workflow": "TEXT2IMAGE", "version": "1.0.0"}, {"sku": "A-1"})
    outcome = Outcome(OutcomeKind.ACCEPTED, task_id="t-1")
    result = result_of(job, "submitted", outcome, 2, "r-1", True, MOMENT)
    assert (result.job_id, result.status, result.task_id) == ("a-job", "submitted", "t-1")
    assert (result.workflow, result.version, result.metadata) == ("TEXT2IMAGE", "1.0.0", {"sku": "A-1"})
    assert (result.attempts, result.request_id, result.possible_duplicate) == (2, "r-1", True)
    assert (result.error_code, result.error_msg) == (None, None)
    assert result.finished_at == "2026-11-22T22:31:33.123Z"


@pytest.mark.parametrize("payload", [None, 7, [], {}, {"workflow": 7, "version": None}])
def test_what_the_payload_does_not_say_in_text_is_empty(payload: Any) -> None:
    """A bad payload's result is a result all the same."""
    outcome = Outcome(OutcomeKind.REJECTED, error_code="X", error_msg="no")
    result = result_of(Job("a-job", payload), "rejected", outcome, 0, None, False, MOMENT)
    assert (result.workflow, result.version, result.error_code) == ("", "", "X")
