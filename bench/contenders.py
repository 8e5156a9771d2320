"""Who is compared, how each is started, and what each does besides the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench import work


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the table.

    Args:
        producer: module that enqueues; see `bench.produce`.
        worker: arguments after the environment's Python.
        packages: the peer's packages, whose versions are reported.
        acknowledged: when a job leaves the queue.
        per_message: jobs in one message.
        journal: whether it writes down each attempt before it is sent, and how it ended.
        limits: whether limits across all workers are on.
    """

    key: str
    name: str
    producer: str
    worker: tuple[str, ...]
    packages: tuple[str, ...]
    client: str
    acknowledged: str = "after"
    ours: bool = False
    per_message: int = 1
    journal: bool = False
    limits: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


_N = str(work.CONCURRENCY)
_OURS = ("-m", "worker.cli", "worker")
_LIMITS = {"AIGC_RATE_PER_S": "100000", "AIGC_MAX_INFLIGHT": "100000"}
"""High enough never to hold a job back: what they cost is measured, not what they do."""


def _celery(pool: str) -> tuple[str, ...]:
    quiet = ("--without-mingle", "--without-gossip", "--without-heartbeat")
    return ("-m", "celery", "-A", "bench.peers.celery_peer", "worker", "-P", pool, "-c", _N, *quiet)


_BULK, _SINGLE = "aigc-worker, 50 jobs a message", "aigc-worker, one job a message"
_CELERY = "bench.peers.celery_peer"
_TASKIQ = (
    *("-m", "taskiq", "worker", "bench.peers.taskiq_peer:broker", "--log-level", "WARNING"),
    *("--workers", "1", "--max-async-tasks", _N),
)
_DRAMATIQ = ("-m", "dramatiq", "bench.peers.dramatiq_peer", "--processes", "1", "--threads", _N)
_HUEY = (
    *("-m", "huey.bin.huey_consumer", "bench.peers.huey_peer.huey", "-k", "thread", "-w", _N),
    *("--quiet", "--no-periodic"),
)
_ARQ = ("-m", "arq", "bench.peers.arq_peer.WorkerSettings")
_SAQ = ("-m", "saq", "bench.peers.saq_peer.settings")

CONTENDERS: tuple[Contender, ...] = (
    Contender("bulk", _BULK, "bench.ours", _OURS, (), "httptools", ours=True, journal=True, per_message=50),
    Contender("bulk-limits", f"{_BULK}, limits on", "bench.ours", _OURS, (), "httptools", ours=True,
              journal=True, limits=True, per_message=50, env=_LIMITS),
    Contender("single", _SINGLE, "bench.ours", _OURS, (), "httptools", ours=True, journal=True),
    Contender("single-limits", f"{_SINGLE}, limits on", "bench.ours", _OURS, (), "httptools", ours=True,
              journal=True, limits=True, env=_LIMITS),
    Contender("celery", "Celery, threads", _CELERY, _celery("threads"), ("celery", "kombu"), "requests"),
    Contender("prefork", "Celery, prefork", _CELERY, _celery("prefork"), ("celery", "kombu"), "requests"),
    Contender("taskiq", "taskiq", "bench.peers.taskiq_peer", _TASKIQ, ("taskiq", "taskiq-redis"), "aiohttp"),
    Contender("saq", "SAQ", "bench.peers.saq_peer", _SAQ, ("saq",), "aiohttp"),
    Contender("dramatiq", "dramatiq", "bench.peers.dramatiq_peer", _DRAMATIQ, ("dramatiq",), "requests"),
    Contender("huey", "huey", "bench.peers.huey_peer", _HUEY, ("huey",), "requests", acknowledged="before"),
    Contender("arq", "arq", "bench.peers.arq_peer", _ARQ, ("arq",), "aiohttp"),
    Contender("rq", "RQ, SimpleWorker", "bench.peers.rq_peer", ("-m", "bench.peers.rq_peer"), ("rq",),
              "requests"),
    Contender("loop", "bare asyncio loop (the limit)", "bench.peers.loop", ("-m", "bench.peers.loop"), (),
              "written by hand"),
    Contender("recorded", "bare asyncio loop that records each attempt", "bench.peers.loop",
              ("-m", "bench.peers.loop"), (), "written by hand", journal=True, env={"BENCH_RECORDED": "1"}),
)  # fmt: skip
