"""How the queue stands, in one sentence, and what somebody has to see to. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from tasks.frozen import value
from worker.domain.wording import age, counted
from worker.store.audit import EVERYTHING

Found = dict[str, Any]
"""What `aigc status` has."""

Level = Literal["good", "attention", "bad"]


@value(frozen=True, slots=True)
class State:
    """``sentence`` is the worst that is known; ``problems`` are all, a line each, as `aigc status` warns."""

    level: Level
    sentence: str
    problems: tuple[str, ...]


def state_of(found: Found) -> State:
    """The state: what stops jobs comes first, then what waits for a decision."""
    for level, sentence in _states(found):
        return State(level, sentence, tuple(found["warnings"]))
    raise AssertionError("there is always a sentence")


def waiting_jobs(found: Found, workflow: str | None = None) -> int:
    """About how many jobs have not been sent; of a workflow only those in its own backlog are known."""
    jobs = found["jobs"]
    if workflow:
        return int(jobs["sidings"].get(workflow, 0))
    queued = sum(line["jobs_about"] for line in jobs["queued"].values())
    return int(queued + jobs["waiting"] + sum(jobs["sidings"].values()))


def _states(found: Found) -> Iterator[tuple[Level, str]]:
    jobs, workers, breaker = found["jobs"], found["workers"], found["brake"]
    waits = waiting_jobs(found)
    consuming = sum(worker["consumes"] for worker in workers)
    if EVERYTHING in found["paused"]:
        yield "bad", f"Everything is paused by an operator; {_wait(waits)}."
    if refused := sum(worker["refused"] for worker in workers):
        yield "bad", f"The vendor refuses {refused} of {counted(len(workers), 'worker')}; {_wait(waits)}."
    if not consuming:
        yield "bad", f"No worker consumes; {_wait(waits)}."
    if breaker["open"]:
        probe = (
            "a probe is under way" if breaker["probing"] else f"next probe in {age(breaker['next_probe_s'])}"
        )
        yield "bad", f"The vendor is down for {age(breaker['since_s'])}; {probe}; {_wait(waits)}."
    if held := jobs["unknown"]:
        words = "1 job is held: it" if held == 1 else f"{held:,} jobs are held: each"
        yield "attention", f"{words} may or may not have been bought, and somebody has to decide."
    if found["dead_workers"]:
        yield "attention", f"{counted(len(found['dead_workers']), 'worker')} died; {_running(found, waits)}"
    if found["paused"]:
        yield "attention", f"{', '.join(found['paused'])} is paused by an operator; {_running(found, waits)}"
    if found["warnings"]:
        yield "attention", f"{counted(len(found['warnings']), 'warning')}; {_running(found, waits)}"
    yield "good", f"All is well: {_running(found, waits)}"


def _running(found: Found, waits: int) -> str:
    workers = sum(worker["consumes"] for worker in found["workers"])
    oldest = f", the oldest for {age(found['oldest_job_s'])}" if waits and found["oldest_job_s"] else ""
    return f"{counted(workers, 'worker consumes', 'workers consume')}, {_wait(waits)}{oldest}."


def _wait(count: int) -> str:
    if not count:
        return "no job waits"
    return "1 job waits" if count == 1 else f"{count:,} jobs wait"
