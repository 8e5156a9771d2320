"""One run of a scenario: what it came to, and how that is shown."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.chaos.arena import Arena
from tests.chaos.audit import Audit
from tests.chaos.following import FOLLOWING
from tests.chaos.points import KILLS
from tests.chaos.real import REAL
from tests.chaos.refusals import ENDING, LASTING, MIXED
from tests.chaos.scenarios import RANDOM, Scenario
from tests.chaos.stages import arena

COLUMNS = (
    "jobs", "posts", "billed", "submitted", "rejected", "exhausted", "unknown", "flagged", "kills",
    "redis kills", "cuts", "refusals",
)  # fmt: skip
ALWAYS: Final = (*KILLS, *RANDOM, *FOLLOWING, *REAL, *MIXED)
TABLE: Final = (*ENDING, *LASTING)
"""Every step with every answer, which takes most of an hour: by default some of them are drawn."""
SCENARIOS: Final = {scenario.name: scenario for scenario in (*ALWAYS, *TABLE)}
WIDTH: Final = max(map(len, SCENARIOS))
LOG_LINES = 4
"""Lines of the workers' logs that are shown with a violation, the newest."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one scenario came to."""

    scenario: str
    seed: int
    seconds: float
    figures: dict[str, int]
    violations: list[str]


def perform(scenario: Scenario, jobs: int, seed: int, *, gentle: bool = False, long: bool = False) -> Report:
    """Run one scenario and audit what it leaves; the seed decides all that the harness draws."""
    start = time.monotonic()
    rng = Random(f"{seed} {scenario.name}")
    with arena(rng, gentle=gentle, disk_mb=scenario.disk_mb, **scenario.sandbox) as stage:
        stage.long = long
        broken = []
        try:
            scenario.run(stage, max(20, round(jobs * scenario.share)))
        except AssertionError as error:
            broken = [str(error)]
        audit = Audit(stage, scenario.doubtful, bought_twice=scenario.bought_twice)
        violations = stage.complaints + (broken or audit.violations())
        violations = [f"{what}\n{_log_of(what.partition(':')[0], stage)}" for what in violations]
        return Report(scenario.name, seed, time.monotonic() - start, audit.figures(), violations)


def _log_of(job_id: str, stage: Arena) -> str:
    """What the workers logged about a job."""
    lines = (line for worker in stage.workers for line in worker.output().splitlines())
    about = sorted(line for line in lines if f'"{job_id}"' in line)
    return "\n".join(f"        {line}" for line in about[-LOG_LINES:])


def line(report: Report) -> str:
    """One line of the table."""
    figures = "".join(f"{report.figures[column]:>12}" for column in COLUMNS)
    verdict = "ok" if not report.violations else f"{len(report.violations)} VIOLATIONS"
    return f"{report.scenario:<{WIDTH}}{figures}{report.seconds:>8.1f} s  {verdict}"


_ended: Final[list[int]] = []


def end_cleanly() -> None:
    """From now on SIGTERM ends what is running, leaving no process behind, and nothing else is begun."""
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, _: object) -> None:
    _ended.append(number)
    sys.exit(128 + number)


def perform_by_name(name: str, jobs: int, seed: int, long: bool) -> Report:
    """The same in another process, which is told the name only."""
    if _ended:
        sys.exit(128 + _ended[0])
    return perform(SCENARIOS[name], jobs, seed, long=long)
