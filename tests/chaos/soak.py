"""The soak: harm of every kind, again and again, on one Redis that lives from the beginning to the end.

Workers follow tasks and keep their files, and a forwarder sends what is published on. Every few minutes all
harm stops until nothing is under way; then everything that was ordered so far is audited. One worker is never
killed: its memory, and that of Redis, is measured.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

import redis

import tasks
from tasks.contract import DEFAULT_OUTPUTS
from tests.chaos.arena import Arena
from tests.chaos.audit import Audit
from tests.chaos.following import LIVES, PATIENCE_S, SETTINGS, open_tasks, output_violations
from tests.chaos.forwarding import Forwarding
from tests.chaos.harms import HARMS, KINDS
from tests.chaos.orders import FAULTS
from tests.chaos.proxy import Proxy
from tests.chaos.scenarios import nobody, settle
from tests.chaos.stages import arena
from tests.chaos.vitals import Sample, families, left_over, sample, table
from tests.conditions import until
from tests.integration.journal import KEYS
from tests.integration.stage import Worker
from worker.dev.sandbox.life import Life
from worker.store.dead_letters import DeadLetters
from worker.store.scripts import Scripts

CHECK_EVERY_S: Final = 180.0
SAMPLE_EVERY_S: Final = 10.0
SHOWN: Final = 20
WORKERS: Final = 3
LINKS_LIVE_S: Final = 7 * 86400.0
"""Longer than any soak: what an operator accepts hours after it was bought is followed only then."""
LAG_S: Final = 0.5
LATE: Final = 16
"""Queries of a worker that stood still: as many as it has threads for them."""

Tell = Callable[[str], None]
Harm = Callable[["Soak"], None]


class Soak:
    """One soak.

    Attributes:
        veteran: the worker that is never killed.
        others: those that are.
        samples: what was measured.
        done: how often each harm was done.
    """

    def __init__(self, stage: Arena, rng: Random, redis_proxy: Proxy, vendor_proxy: Proxy) -> None:
        self.arena, self.rng = stage, rng
        self.redis_proxy, self.vendor_proxy = redis_proxy, vendor_proxy
        self.forwarding = Forwarding(stage)
        self.dead_letters = DeadLetters(Scripts(stage.server.url, (KEYS.queue, KEYS.results)), KEYS)
        self.samples: list[Sample] = []
        self.violations: list[str] = []
        self.done = Counter[str]()
        self.checks = 0
        self._began = time.monotonic()
        self._sampled = float("-inf")
        self.veteran = self.start()
        self.others = [self.start() for _ in range(WORKERS - 1)]

    # What harms are made of

    def work(self, jobs: int, *, wait: float = 0.7, plain: bool = False) -> None:
        """Order jobs, and wait until there are so many results more, as a share of them."""
        before = self._results()
        kinds = FAULTS if plain else (*KINDS, *LIVES)
        self.arena.send(self.arena.order_many(jobs, *kinds))
        until(lambda: self._results() >= before + wait * jobs, "results", self.arena.patience_s)
        self._measure()

    def calm(self) -> None:
        """Wait until nothing is under way; what is by the end of our patience is the audit's business."""
        settle(self.arena)

    def start(self, **changes: Any) -> Worker:
        """A further worker, that has begun; `stop` it."""
        worker = self.arena.start(**changes)
        until(lambda: self._has_begun(worker), "a worker to begin", self.arena.patience_s)
        return worker

    def kill(self) -> None:
        """Kill one of those that may be, and start another in its place."""
        place = self.rng.randrange(len(self.others))
        self.arena.kill_worker(self.others[place])
        self._forget(self.others[place])
        self.others[place] = self.start()

    def replace(self, place: int) -> None:
        """Stop one of them as a deployment does, and start another in its place."""
        self.stop(self.others[place])
        self.others[place] = self.start()

    def stop(self, worker: Worker) -> None:
        """SIGTERM, and wait for its end."""
        self.arena.check_alive(worker)
        self.arena.stop(worker)
        self._forget(worker)

    def _forget(self, worker: Worker) -> None:
        """Its log is not needed any more: there will be hundreds."""
        self.arena.workers.remove(worker)
        self.arena.gone.clear()
        worker.close()

    def _has_begun(self, worker: Worker) -> bool:
        try:
            return bool(self.arena.owners_of(worker.process.pid)) or worker.process.poll() is not None
        except redis.RedisError:
            return False

    def _results(self) -> int:
        try:
            return int(self.arena.redis.xlen(KEYS.results))
        except redis.RedisError:
            return -1

    # The course of it

    def go(self, seconds: float, harms: Sequence[Harm], tell: Tell) -> None:
        """Do harm for so long, with a check every few minutes and one at the end; until the first fault."""
        self._began = time.monotonic()
        end, check_at, next_ones = self._began + seconds, time.monotonic() + CHECK_EVERY_S, list[Harm]()
        while time.monotonic() < end and not self.violations:
            next_ones = next_ones or self.rng.sample(harms, len(harms))
            self._do(next_ones.pop(), tell)
            self.arena.check_alive(self.veteran, *self.others)
            if not self.violations and time.monotonic() >= min(check_at, end):
                self.check(tell)
                check_at = time.monotonic() + CHECK_EVERY_S

    def _do(self, harm: Harm, tell: Tell) -> None:
        began = time.monotonic()
        try:
            harm(self)
        except AssertionError as error:
            self.violations.append(f"{harm.__name__}: {error}\n{self.arena.logs()}")
            tell(f"VIOLATION in {harm.__name__}: {error}")
            return
        self.done[harm.__name__] += 1
        tell(f"{self._minute():6.1f} min  {harm.__name__:<16}{time.monotonic() - began:6.1f} s")

    def check(self, tell: Tell) -> None:
        """Wait until nothing is under way, and audit all there is."""
        self.calm()
        until(lambda: not open_tasks(self.arena), "all tasks to have ended", PATIENCE_S)
        self._measure(at_once=True)
        self.checks += 1
        audit = Audit(self.arena, nobody)
        pictures = Path(self.arena.settings["STORE_URL"].removeprefix("file://"))
        found = [*self.arena.complaints, *audit.violations(), *self.forwarding.violations()]
        found += [*output_violations(self.arena, pictures, LATE), *left_over(self.arena)]
        self.arena.batches = (f"night-{self.checks}", f"day-{self.checks}", None)  # the others are closed now
        self.violations += found
        tell(f"{self._minute():6.1f} min  check {self.checks}: {audit.figures()}; {len(found)} violations")
        for violation in found[:SHOWN]:
            tell(f"VIOLATION {violation}")

    def _measure(self, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._sampled >= SAMPLE_EVERY_S:
            self._sampled = time.monotonic()
            self.samples.append(sample(self.arena, self.veteran, self._minute()))

    def _minute(self) -> float:
        return (time.monotonic() - self._began) / 60

    def report(self) -> dict[str, Any]:
        """What it came to, as JSON values."""
        return {
            "minutes": round(self._minute(), 1),
            "checks": self.checks,
            "harms": dict(self.done),
            "figures": Audit(self.arena, nobody).figures(),
            "outputs": int(self.arena.redis.xlen(DEFAULT_OUTPUTS)),
            "forwarded": len(self.forwarding.taken),
            "keys": dict(families(self.arena)),
            "samples": [asdict(each) for each in self.samples],
            "violations": self.violations,
        }


def run(minutes: float, seed: int, tell: Tell, harms: Sequence[Harm] = HARMS) -> dict[str, Any]:
    """Soak for so long; returns the report."""
    rng = Random(f"{seed} soak")
    with ExitStack() as stack:
        life = Life(link_s=LINKS_LIVE_S)
        stage = stack.enter_context(arena(rng, latency_ms=10, jitter_ms=20, life=life))
        stage.patience_s, stage.lag_s = 300.0, LAG_S
        # Of its own: what is left in it is this soak's.
        stage.directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="aigc-soak-"))
        pictures = stack.enter_context(tempfile.TemporaryDirectory(prefix="aigc-soak-pictures-"))
        port = urlsplit(stage.vendor.url).port
        assert port
        proxies = [Proxy(each, Random(rng.random())) for each in (stage.server.port, port)]
        for proxy in proxies:
            stack.enter_context(proxy.running())
        stage.settings |= {
            **SETTINGS,
            "STORE_URL": f"file://{pictures}",
            "READ_TIMEOUT_S": 4,  # less than the vendor hangs, and more than a busy machine takes
            "REDIS_URL": f"redis://127.0.0.1:{proxies[0].port}/0",
            "ENDPOINT": f"http://127.0.0.1:{proxies[1].port}",
        }
        stack.callback(_end_all, stage)
        tasks.configure(redis_url=stage.server.url)
        soak = Soak(stage, rng, *proxies)
        stack.enter_context(soak.forwarding.running())
        soak.go(60 * minutes, harms, tell)
        stage.count["cuts"] += sum(proxy.cuts for proxy in proxies)
        return {"seed": seed, **soak.report()}


def _end_all(stage: Arena) -> None:
    """Before the proxies end, which would hold them up."""
    for worker in stage.workers:
        worker.close()


def in_words(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    harms = ", ".join(f"{name} {count}" for name, count in sorted(report["harms"].items()))
    figures = ", ".join(f"{name} {count}" for name, count in report["figures"].items())
    lines = [
        f"seed {report['seed']}, {report['minutes']} minutes, {report['checks']} checks",
        f"harms: {harms}",
        f"{figures}, outputs {report['outputs']}, forwarded {report['forwarded']}",
        table([Sample(**each) for each in report["samples"]]),
    ]
    return "\n\n".join([*lines, *(f"VIOLATION {each}" for each in report["violations"])])
