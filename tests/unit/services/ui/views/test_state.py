"""The state of a queue in one sentence."""

from __future__ import annotations

from typing import Any

from worker.services.ui.views.state import state_of

WORKER = {"consumes": True, "refused": False}
BREAKER = {"open": True, "probing": None, "next_probe_s": 3.0, "since_s": 600.0, "cause": None}


def found(**changes: Any) -> dict[str, Any]:
    jobs = {"unknown": changes.pop("held", 0)}
    return {
        "jobs": jobs, "oldest_job_s": 12.0, "brake": {"open": False}, "paused": [], "workers": [WORKER],
        "warnings": [], **changes,
    }  # fmt: skip


def told(waiting: int = 0, **changes: Any) -> tuple[str, str, tuple[str, ...]]:
    state = state_of(found(**changes), waiting)
    return state.level, state.sentence, state.problems


def test_all_is_well() -> None:
    """How many work, and how much waits."""
    well = "All is well: 1 worker consumes, 1,200 jobs wait, the oldest for 12.0 s."
    assert told(1200) == ("good", well, ())
    assert told(workers=[WORKER, WORKER]) == ("good", "All is well: 2 workers consume, no job waits.", ())


def test_what_stops_jobs_comes_first() -> None:
    """The others follow, and what is warned of."""
    level, sentence, problems = told(1, workers=[], held=2, paused=["A", "*"], warnings=["Redis is full"])
    assert (level, sentence) == ("bad", "Everything is paused by an operator; 1 job waits.")
    assert problems == (
        "No worker consumes; 1 job waits.",
        "2 jobs are held: each may or may not have been bought, and somebody has to decide.",
        "A is paused by an operator.",
        "Redis is full.",
    )


def test_each_that_needs_somebody_is_said() -> None:
    """The breaker, refused workers, held jobs, pauses, warnings."""
    assert told(3, brake=BREAKER)[1] == "The vendor is down for 10.0 min; next probe in 3.0 s; 3 jobs wait."
    refused = {"consumes": False, "refused": True}
    assert told(workers=[refused, WORKER])[1] == "The vendor refuses 1 of 2 workers; no job waits."
    assert told(held=1)[1].startswith("1 job is held: it may or may not have been bought")
    assert told(paused=["A", "B"])[:2] == ("attention", "A, B are paused by an operator.")
    assert told(warnings=["a", "b"])[:2] == ("attention", "2 warnings; 1 worker consumes, no job waits.")
