"""What `aigc task` tells of a task that is followed, or was."""

from __future__ import annotations

from typing import Any

import click

from worker.cli.common import counted


def followed(task_id: str) -> dict[str, Any] | None:
    """As JSON values; None where it was never followed, or Redis does not say."""
    from tasks.times import utc_iso
    from worker.cli.task_follow import administered

    try:
        with administered() as tasks:
            found = tasks.shown(task_id)
    except click.ClickException:
        return None  # that Redis is away stands in the job's line
    if found is None:
        return None
    output = found.output
    return {
        "state": output.status if output else "ended" if found.output_json else "open",
        "asked": found.asked,
        "acceptedAt": None if found.accepted_s is None else utc_iso(found.accepted_s),
        "finishedAt": output.finished_at if output else None,
        "file": output.file if output else None,
        "jobId": found.job_id,
    }


def in_line(found: dict[str, Any] | None) -> list[str]:
    """The same as a line, where there is anything to say."""
    if found is None:
        return []
    if found["state"] == "open":
        return [f"followed   open since {found['acceptedAt']}, asked {counted(found['asked'], 'time')}"]
    if found["state"] == "ended":
        return ["followed   it has ended; only a later version of this program can read how"]
    file = f", its file is {found['file']}" if found["file"] else ""
    return [f"followed   {found['state']} at {found['finishedAt']}{file}"]
