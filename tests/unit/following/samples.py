"""A task as the engine's tests have it."""

from __future__ import annotations

from typing import Any, Final

from worker.store.task_values import OpenTask

ACCEPTED_MS: Final = 1_800_000_000_000
DEADLINE_MS: Final = ACCEPTED_MS + 86_400_000


def open_task(task_id: str = "task-1", **changes: Any) -> OpenTask:
    """One that was accepted at `ACCEPTED_MS`, fell due 10 s later, and was never asked about."""
    values: dict[str, Any] = {
        "token": 1, "wait_s": 0.0, "due_ms": ACCEPTED_MS + 10_000, "job_id": "job-1",
        "workflow": "TEXT2IMAGE", "version": "1.0.0", "metadata": '{"sku":"A-1"}',
        "accepted_ms": ACCEPTED_MS, "deadline_ms": DEADLINE_MS,
    }  # fmt: skip
    return OpenTask(task_id=task_id, **(values | changes))
