"""Run the scenarios, audit what each leaves, and print a table. Exit code 1 on any violation.

Names: "before claim", "after claim": a worker is killed at a step. "redis kills", "storm": harm at random.
"refused claim OOM": that step is answered so by a proxy, once before it is run, once after, and for 3 s;
"refused claim OOM, restart": until the workers are stopped, and others started without it. "refused real …":
Redis itself refuses, for want of a right, memory, a disk, a replica, or because a key is of another type.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import partial
from random import Random
from typing import Final

from tests.chaos import soak
from tests.chaos.report import (
    ALWAYS,
    COLUMNS,
    SCENARIOS,
    TABLE,
    WIDTH,
    Report,
    end_cleanly,
    line,
    perform_by_name,
)

DRAWN: Final = 20
SHOWN: Final = 8
"""Violations of one run that are printed."""


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments ask for; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="./dev chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1000, help="jobs of each random scenario (default 1000)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="to repeat a run")
    parser.add_argument(
        "--minutes",
        type=float,
        default=0,
        help="the soak: all kinds of harm for so long on one Redis, checked every few minutes, with figures"
        " of memory; with --only, those scenarios for so long, again and again with new seeds",
    )
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
    end_cleanly()
    if not _chosen(options, options.seed):
        parser.error(f"no scenario has {options.only!r} in its name")
    if options.list:
        print("\n".join(_chosen(options, options.seed)))
        return 0
    if options.minutes and not options.only:
        return _soak(options)
    reports = list(_run(options))
    failed = [report for report in reports if report.violations]
    if not options.json:
        total = {column: sum(report.figures[column] for report in reports) for column in COLUMNS}
        seconds, violations = sum(r.seconds for r in reports), [v for r in reports for v in r.violations]
        print(line(Report("in all", options.seed, seconds, total, violations)))
        print(
            f"{len(failed)} of {len(reports)} runs with violations; --seed {options.seed} runs the same again"
        )
    return 1 if failed else 0


def _soak(options: argparse.Namespace) -> int:
    """What happens goes to standard error, the report to standard output."""
    report = soak.run(options.minutes, options.seed, partial(print, file=sys.stderr, flush=True))
    print(json.dumps(report) if options.json else soak.in_words(report))
    return 1 if report["violations"] else 0


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
            if not options.json:
                _show(report.violations)
            yield report
        seed += 1
        if time.monotonic() >= until:
            return


def _show(violations: Sequence[str]) -> None:
    for violation in violations[:SHOWN]:
        print(f"    {violation}", flush=True)
    if len(violations) > SHOWN:
        print(f"    and {len(violations) - SHOWN} more; --json has them all", flush=True)


def _reports(names: Sequence[str], seed: int, options: argparse.Namespace) -> Iterator[Report]:
    if options.parallel <= 1:
        for name in names:
            yield perform_by_name(name, options.jobs, seed, options.long)
        return
    # Processes, and not threads: a server must be started by the main one, with which it ends.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.parallel, context, initializer=end_cleanly) as pool:
        futures = [pool.submit(perform_by_name, name, options.jobs, seed, options.long) for name in names]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
