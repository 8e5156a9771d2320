"""`./dev chaos`: run the scenarios, audit each, and print a table. Exit code 1 on any violation."""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random

from tests.chaos.arena import Arena, arena
from tests.chaos.audit import Audit
from tests.chaos.points import KILLS
from tests.chaos.scenarios import RANDOM, Scenario

COLUMNS = (
    "jobs", "posts", "billed", "submitted", "rejected", "exhausted", "unknown", "flagged", "kills",
    "redis kills", "cuts",
)  # fmt: skip
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


def perform(scenario: Scenario, jobs: int, seed: int, *, gentle: bool = False) -> Report:
    """Run one scenario and audit what it leaves; the seed decides all that the harness draws."""
    start = time.monotonic()
    rng = Random(f"{seed} {scenario.name}")
    with arena(rng, gentle=gentle, **scenario.sandbox) as stage:
        broken = []
        try:
            scenario.run(stage, max(20, round(jobs * scenario.share)))
        except AssertionError as error:
            broken = [str(error)]
        audit = Audit(stage, scenario.doubtful, bought_twice=scenario.bought_twice)
        violations = broken or audit.violations()
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
    return f"{report.scenario:<20}{figures}{report.seconds:>8.1f} s  {verdict}"


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments ask for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="jobs of each random scenario (default 1000)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="to repeat a run")
    parser.add_argument("--minutes", type=float, default=0, help="go on with new seeds for so long")
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON lines")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # leaves no process behind
    chosen = [scenario for scenario in (*KILLS, *RANDOM) if options.only in scenario.name]
    if not chosen:
        parser.error(f"no scenario has {options.only!r} in its name")
    reports = list(_run(chosen, options))
    failed = [report for report in reports if report.violations]
    if not options.json:
        total = {column: sum(report.figures[column] for report in reports) for column in COLUMNS}
        print(line(Report("in all", options.seed, sum(report.seconds for report in reports), total, [])))
        print(
            f"{len(failed)} of {len(reports)} runs with violations; --seed {options.seed} runs the same again"
        )
    return 1 if failed else 0


def _run(chosen: Sequence[Scenario], options: argparse.Namespace) -> list[Report]:
    reports = []
    until, seed = time.monotonic() + options.minutes * 60, options.seed
    if not options.json:
        print(f"{'scenario':<20}" + "".join(f"{column:>12}" for column in COLUMNS), flush=True)
    while True:
        for scenario in chosen:
            report = perform(scenario, options.jobs, seed)
            reports.append(report)
            print(json.dumps(asdict(report)) if options.json else line(report), flush=True)
            for violation in [] if options.json else report.violations:
                print(f"    {violation}", flush=True)
        seed += 1
        if time.monotonic() >= until:
            return reports


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
