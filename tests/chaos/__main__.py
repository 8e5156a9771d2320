"""`./dev chaos`: run the scenarios, audit each, and print a table. Exit code 1 on any violation."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from random import Random
from typing import Final

from tests.chaos.arena import Arena, arena
from tests.chaos.audit import Audit
from tests.chaos.points import KILLS
from tests.chaos.real import REAL
from tests.chaos.refusals import ENDING, LASTING, MIXED
from tests.chaos.scenarios import RANDOM, Scenario

COLUMNS = (
    "jobs", "posts", "billed", "submitted", "rejected", "exhausted", "unknown", "flagged", "kills",
    "redis kills", "cuts", "refusals",
)  # fmt: skip
ALWAYS: Final = (*KILLS, *RANDOM, *REAL, *MIXED)
TABLE: Final = (*ENDING, *LASTING)
"""Every step with every answer, which takes most of an hour: by default some of them are drawn."""
SCENARIOS: Final = {scenario.name: scenario for scenario in (*ALWAYS, *TABLE)}
DRAWN: Final = 20
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
        violations = broken + stage.complaints or stage.complaints + audit.violations()
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


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments ask for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="jobs of each random scenario (default 1000)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="to repeat a run")
    parser.add_argument("--minutes", type=float, default=0, help="go on with new seeds for so long")
    parser.add_argument(
        "--only",
        default="",
        help=f"scenarios whose name contains this: 'refused' has all {len(TABLE)} ways in which one answer of"
        f" Redis strikes one step, and more; without --only {DRAWN} of those ways are drawn",
    )
    parser.add_argument("--list", action="store_true", help="print the names of the scenarios, and run none")
    parser.add_argument("--long", action="store_true", help="refusals of 10 s instead of 3, in each form")
    parser.add_argument("--parallel", type=int, default=1, help="so many at a time (default 1)")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON lines")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # leaves no process behind
    if not _chosen(options, options.seed):
        parser.error(f"no scenario has {options.only!r} in its name")
    if options.list:
        print("\n".join(_chosen(options, options.seed)))
        return 0
    reports = list(_run(options))
    failed = [report for report in reports if report.violations]
    if not options.json:
        total = {column: sum(report.figures[column] for report in reports) for column in COLUMNS}
        print(line(Report("in all", options.seed, sum(report.seconds for report in reports), total, [])))
        print(
            f"{len(failed)} of {len(reports)} runs with violations; --seed {options.seed} runs the same again"
        )
    return 1 if failed else 0


def _chosen(options: argparse.Namespace, seed: int) -> list[str]:
    """The names of the scenarios to run."""
    if options.only:
        return [name for name in SCENARIOS if options.only in name]
    drawn = Random(seed).sample(TABLE, DRAWN)
    return [scenario.name for scenario in (*ALWAYS, *drawn)]


def _run(options: argparse.Namespace) -> Iterator[Report]:
    until, seed = time.monotonic() + options.minutes * 60, options.seed
    if not options.json:
        print(f"{'scenario':<{WIDTH}}" + "".join(f"{column:>12}" for column in COLUMNS), flush=True)
    while True:
        for report in _reports(_chosen(options, seed), seed, options):
            print(json.dumps(asdict(report)) if options.json else line(report), flush=True)
            for violation in [] if options.json else report.violations:
                print(f"    {violation}", flush=True)
            yield report
        seed += 1
        if time.monotonic() >= until:
            return


def _reports(names: Sequence[str], seed: int, options: argparse.Namespace) -> Iterator[Report]:
    if options.parallel <= 1:
        for name in names:
            yield _perform(name, options.jobs, seed, options.long)
        return
    # Processes, and not threads: a server must be started by the main one, with which it ends.
    with ProcessPoolExecutor(options.parallel, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(_perform, name, options.jobs, seed, options.long) for name in names]
        for future in as_completed(futures):
            yield future.result()


def _perform(name: str, jobs: int, seed: int, long: bool) -> Report:
    return perform(SCENARIOS[name], jobs, seed, long=long)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
