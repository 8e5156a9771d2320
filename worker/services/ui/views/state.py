"""How the queue stands, in one sentence, and what somebody has to see to. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from tasks.frozen import value
from worker.domain.wording import age, counted
from worker.store.audit import EVERYTHING
from worker.store.metrics import Snapshot

Found = dict[str, Any]
"""What `aigc status` has."""

Level = Literal["good", "attention", "bad"]


@value(frozen=True, slots=True)
class State:
    """``sentence`` is the worst that is known; ``problems`` are the others, and what `aigc status` warns of,
    a line each. ``held``: jobs that wait for a decision."""

    level: Level
    sentence: str
    problems: tuple[str, ...]
    held: int


def state_of(found: Found, waiting: int) -> State:
    """The state: what stops jobs comes first, then what waits for a decision.

    Args:
        waiting: jobs that have not been sent.
    """
    states = [*_what_stops_jobs(found, _wait(waiting)), *_what_needs_a_look(found)]
    (level, worst), *others = states or [_otherwise(found, waiting)]
    problems = (*(words for _, words in others), *found["warnings"])
    return State(level, _sentence(worst), tuple(map(_sentence, problems)), found["jobs"]["unknown"])


def waiting_jobs(snapshot: Snapshot, workflow: str | None = None) -> int:
    """How many jobs have not been sent; of a workflow only those in its own backlog are known."""
    jobs = snapshot.found["jobs"]
    if workflow:
        return int(jobs["sidings"].get(workflow, 0))
    return sum(snapshot.queued.values()) + int(jobs["waiting"] + sum(jobs["sidings"].values()))


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}" + ("" if words.endswith(".") else ".")


def _what_stops_jobs(found: Found, waits: str) -> Iterator[tuple[Level, str]]:
    workers, breaker = found["workers"], found["brake"]
    if EVERYTHING in found["paused"]:
        yield "bad", f"everything is paused by an operator; {waits}"
    if refused := sum(worker["refused"] for worker in workers):
        yield "bad", f"the vendor refuses {refused} of {counted(len(workers), 'worker')}; {waits}"
    elif not any(worker["consumes"] for worker in workers):
        yield "bad", f"no worker consumes; {waits}"
    if breaker["open"]:
        probe = (
            "a probe is under way" if breaker["probing"] else f"next probe in {age(breaker['next_probe_s'])}"
        )
        yield "bad", f"the vendor is down for {age(breaker['since_s'])}; {probe}; {waits}"


def _what_needs_a_look(found: Found) -> Iterator[tuple[Level, str]]:
    if held := found["jobs"]["unknown"]:
        many = "1 job is held: it" if held == 1 else f"{held:,} jobs are held: each"
        yield "attention", f"{many} may or may not have been bought, and somebody has to decide"
    if names := [name for name in found["paused"] if name != EVERYTHING]:
        are = "is" if len(names) == 1 else "are"
        yield "attention", f"{', '.join(names)} {are} paused by an operator"


def _otherwise(found: Found, waiting: int) -> tuple[Level, str]:
    if warnings := found["warnings"]:
        return "attention", f"{counted(len(warnings), 'warning')}; {_running(found, waiting)}"
    return "good", f"all is well: {_running(found, waiting)}"


def _running(found: Found, waiting: int) -> str:
    workers = sum(worker["consumes"] for worker in found["workers"])
    oldest = f", the oldest for {age(found['oldest_job_s'])}" if waiting and found["oldest_job_s"] else ""
    return f"{counted(workers, 'worker consumes', 'workers consume')}, {_wait(waiting)}{oldest}."


def _wait(count: int) -> str:
    if not count:
        return "no job waits"
    return "1 job waits" if count == 1 else f"{count:,} jobs wait"
