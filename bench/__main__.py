"""The benchmark as one command, ``./dev bench``: prints what it finds, and writes docs/benchmarks.md.

It takes about ten minutes on two cores and wants them for itself.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Sequence

from bench import report
from bench.contenders import CONTENDERS, Contender
from bench.findings import Findings
from bench.measure import cost, import_s, latency, startup_s, throughput
from bench.stage import ROOT, Stage, staged

SLOW_VENDOR_S, IN_FLIGHT = 0.1, 64
FEW_IN_FLIGHT = 16
"""For one worker against two: so few that one core is enough for both."""
BACKLOGS = (1_000, 100_000)
FULL_BACKLOGS = (1_000, 1_000_000)
LATENCY_JOBS = 500
BUSY = 0.5
"""Load of an otherwise idle machine, at most."""
UNDER_LOAD = ("bulk", "single", "celery", "taskiq")
"""Compared where comparing everyone would take long and say little more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the report unless only some contenders were asked for."""
    options = _options(arguments)
    chosen = [each for each in CONTENDERS if not options.only or each.key in options.only.split(",")]
    findings = Findings(chosen, options.rounds, options.jobs, load_before=os.getloadavg()[0])
    if findings.load_before > BUSY:
        _say(f"load {findings.load_before:.1f}: on a busy machine, distrust latency and throughput")
    with staged(options.peers) as stage:
        if options.idle:
            _idle_latencies(stage, findings)
            return 0
        _costs(stage, findings)
        if options.only:
            return 0
        _idle_latencies(stage, findings)
        _latencies_under_load(stage, findings)
        _start(stage, findings)
        _backlogs(stage, findings, FULL_BACKLOGS if options.full else BACKLOGS)
    with staged(options.peers, delay_ms=SLOW_VENDOR_S * 1000) as stage:
        _throughputs(stage, findings)
    report.write(findings, ROOT / "docs", options.peers)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--peers", default=sys.executable, help="Python of the peers' environment")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of which the median counts (3)")
    parser.add_argument("--jobs", type=int, default=2000, help="jobs of each round that are counted (2000)")
    parser.add_argument("--only", help="only the CPU cost of these, written nowhere: bulk,single,celery,…")
    parser.add_argument(
        "--idle", action="store_true", help="only the latency of idle workers, written nowhere"
    )
    parser.add_argument("--full", action="store_true", help="a backlog of a million jobs: some minutes more")
    return parser.parse_args(arguments)


def _costs(stage: Stage, findings: Findings) -> None:
    for number in range(1, findings.rounds + 1):
        _say(f"\nround {number} of {findings.rounds}: CPU µs a job, worker and producer")
        for contender in findings.contenders:  # interleaved: what disturbs the machine disturbs all
            found = cost(stage, contender, findings.jobs)
            findings.costs.setdefault(contender.key, []).append(found)
            _say(f"  {contender.name:45} {found.worker_us:8.0f} {found.enqueue_us:8.1f}")


def _idle_latencies(stage: Stage, findings: Findings) -> None:
    _say("\nms from enqueue to result: p50, p99")
    for contender in findings.contenders:
        if contender.per_message == 1 and not contender.limits:
            found = findings.idle[contender.key] = latency(stage, contender, LATENCY_JOBS)
            _say(f"  {contender.name:45} {found.p50:8.1f} {found.p99:8.1f}   one after another")


def _latencies_under_load(stage: Stage, findings: Findings) -> None:
    for contender in _some(findings, UNDER_LOAD):
        if contender.per_message == 1:
            rate = 0.5e6 / findings.worker_us(contender)
            found = findings.half_load[contender.key] = latency(stage, contender, round(rate * 4), rate)
            _say(f"  {contender.name:45} {found.p50:8.1f} {found.p99:8.1f}   at {rate:.0f} a second")


def _start(stage: Stage, findings: Findings) -> None:
    single = _some(findings, ("single",))[0]
    findings.startup_s = statistics.median(startup_s(stage, single) for _ in range(5))
    findings.import_s = import_s(sys.executable, "tasks")
    _say(f"\nstart to first result {findings.startup_s:.2f} s, import tasks {findings.import_s:.2f} s")


def _backlogs(stage: Stage, findings: Findings, backlogs: Sequence[int]) -> None:
    _say("\nworker µs a job and Redis bytes a waiting job, by backlog")
    for contender in _some(findings, ("bulk", "single")):
        for backlog in list(backlogs) * findings.rounds:
            found = cost(stage, contender, findings.jobs, backlog)
            findings.backlogs.setdefault((contender.key, backlog), []).append(found)
            _say(f"  {contender.name:45} {backlog:9,} {found.worker_us:8.0f} {found.waiting_bytes:8.0f}")


def _throughputs(stage: Stage, findings: Findings) -> None:
    _say(f"\njobs a second, {IN_FLIGHT} in flight, a vendor that takes {SLOW_VENDOR_S * 1000:.0f} ms")
    for contender in _some(findings, UNDER_LOAD):
        found = throughput(stage, contender, in_flight=IN_FLIGHT, delay_s=SLOW_VENDOR_S)
        findings.throughputs[contender.key] = found
        _say(f"  {contender.name:45} {found.per_second:8.0f} {found.of_ideal:7.1%} {found.pss_mb:6.0f} MB")
    for workers in (1, 2):
        found = throughput(
            stage,
            _some(findings, ("single",))[0],
            in_flight=FEW_IN_FLIGHT,
            delay_s=SLOW_VENDOR_S,
            workers=workers,
        )
        findings.by_workers[workers] = found
        _say(
            f"  {workers} workers of {FEW_IN_FLIGHT} in flight: {found.per_second:.0f}, {found.of_ideal:.1%}"
        )


def _some(findings: Findings, keys: Sequence[str]) -> list[Contender]:
    return [contender for contender in findings.contenders if contender.key in keys]


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
