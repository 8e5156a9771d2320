"""What somebody has to see to, as `aigc doctor` and `aigc status --check` judge it: pure functions."""

from __future__ import annotations

from typing import Any, Final

Found = dict[str, Any]
"""What `worker.store.stats.stats` found."""

FAILING_S: Final = 600.0
"""For so long an endpoint takes nothing, and somebody has to see to it."""


def consuming(found: Found) -> int:
    """How many workers are alive, look at the queue, and are not refused by the vendor."""
    return sum(worker["consumes"] for worker in found["workers"])


def of_operation(found: Found) -> list[str]:
    """What keeps jobs from being done, or endangers them, beside the number of workers; a line each."""
    lines = list(found["warnings"])
    if found["paused"]:
        lines.append(f"paused: {', '.join(found['paused'])} (aigc resume)")
    if found["brake"]["open"]:
        cause = f": {found['brake']['cause']}" if found["brake"].get("cause") else ""
        lines.append(
            f"the vendor is down for {found['brake']['since_s']:.0f} s, as the workers see it{cause}"
        )
    return lines


def of_workflows(found: Found, digest: str) -> list[str]:
    """A line for each worker that was declared other workflows than this machine; the worker decides."""
    return [
        f"worker {worker['name']} has another AIGC_WORKFLOWS_FILE ({worker['workflows'] or 'none'}) than this"
        f" machine ({digest or 'none'}): it may reject what is valid here"
        for worker in found["workers"]
        if worker["workflows"] not in (None, digest)
    ]


def of_jobs(found: Found, oldest_s: float | None) -> list[str]:
    """Jobs that wait for an operator, or have waited for longer than ``oldest_s`` seconds; a line each."""
    lines = []
    if held := found["jobs"]["unknown"]:
        lines.append(f"{held} unknown job(s) are held: aigc failed list --status unknown")
    if unstored := found["following"]["unstored"]:
        lines.append(
            f"{unstored} finished file(s) could not be kept: aigc task fetch --all, or aigc task forget"
        )
    age_s = found["oldest_job_s"]
    if oldest_s is not None and age_s is not None and age_s > oldest_s:
        lines.append(f"the oldest job has waited for {age_s:.0f} s")
    return lines


def of_forwards(forwards: list[Found]) -> list[str]:
    """A line for each endpoint that gets no webhooks, or lost some; as `forward_stats` found them."""
    lines = []
    for each in forwards:
        if each["gone_s"] is not None:
            lines.append(
                f"{each['url']} answered HTTP 410, nothing is forwarded to it any more:"
                " aigc forward --again, or aigc forward forget"
            )
        elif each["failing_s"] is not None and each["failing_s"] > FAILING_S:
            lines.append(f"{each['url']} has taken no webhook for {each['failing_s']:.0f} s")
        elif not each["active"]:
            lines.append(f"nobody forwards to {each['url']}: aigc forward, or aigc forward forget")
        if each["given_up"]:
            lines.append(f"{each['given_up']} webhook(s) to {each['url']} were given up: aigc forward failed")
    return lines


def of_workers(found: Found, least: int) -> list[str]:
    """A line where fewer than ``least`` workers consume."""
    count = consuming(found)
    return [f"workers that consume: {count or 'none'}, at least {least} must"] if count < least else []
