"""How a test has a task end."""

from __future__ import annotations

from typing import Any, Final, get_args

from ..checks import check_task_id, clip
from ..contract import OutputStatus
from ..output import Output
from ..times import utc_iso

_VENDORS_WORD: Final[dict[OutputStatus, str]] = {
    "succeeded": "SUCCESS",
    "failed": "AIGC_ERROR",
    "lost": "RUNNING",
}


def output_of(task_id: str, status: OutputStatus, about: dict[str, Any], **fields: Any) -> Output:
    """The output of a task.

    Args:
        about: what its job says: the fields `job_id`, `workflow`, `version` and `metadata`.
        fields: further fields; those that are None get a value that goes with the status.

    Raises:
        ValueError: no such status, or no task id.
    """
    check_task_id(task_id)
    if status not in get_args(OutputStatus):
        raise ValueError(f"status must be one of {', '.join(get_args(OutputStatus))}, got {clip(status)}")
    if fields["vendor_status"] is None:
        fields["vendor_status"] = _VENDORS_WORD[status]
    if fields["url"] is None and status == "succeeded":
        fields["url"] = f"https://files.example/{task_id}.png"
    return Output(task_id=task_id, status=status, finished_at=utc_iso(), **about, **fields)
