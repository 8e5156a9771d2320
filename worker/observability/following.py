"""What the worker tells of the tasks that it follows: a line for each output, and of refused queries.

Sentry hears of lost tasks and of refused queries, and of nothing else.
"""

from __future__ import annotations

import logging
from typing import Any

from tasks.output import Output
from worker import observability
from worker.domain.query import Refused

log = logging.getLogger(__name__)


class FollowingReporter:
    """Who is told of outputs."""

    def output(self, output: Output, asked: int, reason: str = "") -> None:
        """Log the output of a task, which was asked about so often; report it where the task is lost.

        ``reason``: why its file could not be kept, where that is so.
        """
        fields: dict[str, Any] = {
            "task": output.task_id,
            "job": output.job_id,
            "workflow": output.workflow,
            "vendor_status": output.vendor_status,
            "asked": asked,
            "file": output.file,
            "bytes": output.bytes,
            "not_kept": reason or None,
        }
        is_lost = output.status == "lost"
        is_well = output.status == "succeeded" and not reason
        level = logging.ERROR if is_lost else logging.INFO if is_well else logging.WARNING
        log.log(level, "output %s", output.status, extra={"fields": fields})
        if is_lost:
            observability.report("lost", None, output.workflow or "", fields)

    def queries_refused(self, outcome: Refused) -> None:
        """Say loudly that the vendor refuses this worker's queries; once until it takes them again."""
        remedy = "check AIGC_QUERY_SIGNATURE (aigc doctor --task TASK_ID finds it), keys, endpoint and clock"
        fields = {"code": outcome.code, "error": outcome.message or None, "remedy": remedy}
        words = "the vendor refuses queries: following pauses, no task is harmed; %s"
        log.critical(words, remedy, extra={"fields": fields})
        observability.report("queries_refused", outcome.code, "", fields)
