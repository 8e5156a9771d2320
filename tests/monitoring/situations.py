"""What each alert stands for, brought about by the real thing: workers, vendor, Redis and `aigc ui`."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS
from tests.conditions import until
from tests.integration.stage import Stage, faulty
from tests.integration.ui_service import UiService
from worker.store import audit
from worker.store.dead_letters import DeadLetterFilter, DeadLetters
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts

KEYS: Final = KeyNames(DEFAULT_QUEUE, DEFAULT_RESULTS)
WHO: Final = "the alerts' test"
SOME: Final = 10
"""Jobs; more than it takes to open the circuit breaker."""


class Place:
    """A stage with an `aigc ui`, which may end and come back at its address."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self._folder = folder
        self.ui = self._ui()

    def ui_again(self) -> None:
        self.ui = self._ui("--port", self.ui.url.rpartition(":")[2])

    def work(self) -> None:
        """Have a worker that works."""
        job = self.stage.enqueue(faulty())
        assert self.stage.result(job)["status"] == "submitted"

    def enqueue_some(self) -> None:
        for _ in range(SOME):
            self.stage.enqueue(faulty())

    def close(self) -> None:
        self.ui.__exit__(None, None, None)

    def _ui(self, *arguments: str) -> UiService:
        return UiService(self.stage.server.url, self._folder, *arguments)


Act = Callable[[Place], None]


@dataclass(frozen=True)
class Situation:
    """
    Args:
        alert: fires of it.
        what: it is, in words.
        brings: brings it about, where all is well.
        mends: does what the runbook says; None where the alert stands until its window is over.
        also: other alerts that are true of it.
        within_s: how soon that is promised, by the rules that ship.
    """

    alert: str
    what: str
    brings: Act
    mends: Act | None = None
    also: frozenset[str] = frozenset()
    within_s: float | None = None


@dataclass(frozen=True)
class Scene:
    """Situations that follow each other at one place, each where the one before is over.

    Args:
        worker: settings of the worker that is there.
        short: whether it is by the rules with shorter durations, else by those that ship.
    """

    name: str
    situations: Sequence[Situation]
    worker: Mapping[str, Any] = field(default_factory=dict)
    short: bool = True


def _held(place: Place) -> None:
    job = place.stage.enqueue(faulty("reset_after_accept"))
    assert place.stage.result(job)["status"] == "unknown"


def _decided(place: Place) -> None:
    scripts = Scripts(place.stage.server.url, (KEYS.queue, KEYS.results), connections=1)
    with closing(scripts):
        dead_letters = DeadLetters(scripts, KEYS)
        (found,) = dead_letters.find(DeadLetterFilter())
        assert dead_letters.accept(found, "task-1", WHO)


def _killed(place: Place) -> None:
    place.stage.workers[-1].kill()


def _another_worker(place: Place) -> None:
    place.stage.worker()


def _frozen(place: Place) -> None:
    """As a worker on another machine that is gone: nobody sees its end, it is only silent."""
    os.kill(place.stage.workers[-1].process.pid, signal.SIGSTOP)


def _thawed(place: Place) -> None:
    os.kill(place.stage.workers[-1].process.pid, signal.SIGCONT)


def _paid_twice(place: Place) -> None:
    """A worker is frozen for so long that another one takes over what it sends; the vendor accepts both."""
    stage = place.stage
    payload = faulty("slow(1500)")
    job = stage.enqueue(payload)
    until(lambda: stage.vendor.posts_of(payload), "the POST")
    (frozen,) = stage.workers
    os.kill(frozen.process.pid, signal.SIGSTOP)
    stage.worker(ON_UNKNOWN="resubmit")
    assert stage.result(job)["possibleDuplicate"]
    os.kill(frozen.process.pid, signal.SIGCONT)


def _key_disabled(place: Place) -> None:
    place.stage.vendor.set("keys", keys=[{"access_key": "another", "secret_key": "another-secret"}])
    place.stage.enqueue(faulty())


def _key_enabled(place: Place) -> None:
    env = place.stage.env()
    ours = {name: env[f"AIGC_{name.upper()}"] for name in ("access_key", "secret_key")}
    place.stage.vendor.set("keys", keys=[ours])
    place.stage.drain()


def _vendor_is(rule: str) -> Act:
    """To every post it does what the rule says, while some jobs wait."""

    def brings(place: Place) -> None:
        place.work()
        place.stage.vendor.set("rules", rules=[rule])
        place.enqueue_some()

    return brings


def _vendor_works(place: Place) -> None:
    place.stage.vendor.set("rules", rules=[])
    place.stage.drain()


def _paused(place: Place) -> None:
    """Since 20 minutes, as the job says that waits."""
    audit.pause(place.stage.redis, KEYS, None, WHO)
    place.stage.enqueue(faulty(), enqueued_ms=round(1000 * (time.time() - 20 * 60)))


def _resumed(place: Place) -> None:
    audit.resume(place.stage.redis, KEYS, None, WHO)
    place.stage.drain()


def _nearly_full(place: Place) -> None:
    """Filled by records and results of jobs, from 70% on."""
    stage = place.stage
    stage.redis.config_set("maxmemory", round(_memory(stage)["used_memory"] / 0.7))
    while (memory := _memory(stage))["used_memory"] < 0.85 * memory["maxmemory"]:
        jobs = [stage.enqueue(faulty(), metadata={"about": uuid.uuid4().hex * 100}) for _ in range(5)]
        assert all(stage.result(job)["status"] == "submitted" for job in jobs)


def _more_memory(place: Place) -> None:
    place.stage.redis.config_set("maxmemory", 4 * _memory(place.stage)["maxmemory"])


def _memory(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.redis.info("memory")
    return found


def _persists(appendonly: str) -> Act:
    def acts(place: Place) -> None:
        place.stage.redis.config_set("appendonly", appendonly)

    return acts


def _ui_ends(place: Place) -> None:
    assert place.ui.stop() == 0
    place.close()


def _bought(place: Place) -> None:
    """For more than the plan, at once, and never before: there was no series of it."""
    place.stage.worker(PRICE__TEXT2IMAGE=120)
    until(lambda: len(place.stage.living()) == 2, "the worker that knows prices")
    place.stage.workers[0].terminate()
    place.work()


IDLE: Final = frozenset({"AigcNothingSubmitted"})
SCENES: Final = (
    Scene(
        "worker",
        [
            Situation(
                "AigcNothingConsumes", "the only worker is killed", _killed, _another_worker, within_s=30.0
            ),
            Situation("AigcNothingConsumes", "the only worker falls silent", _frozen, _thawed, within_s=30.0),
        ],
        short=False,
    ),
    Scene(
        "twice",
        [Situation("AigcPaidTwice", "the vendor accepts a job twice", _paid_twice)],
        {"ON_UNKNOWN": "resubmit", "READ_TIMEOUT_S": 60},
    ),
    Scene(
        "throttled",
        [
            Situation(
                "AigcNothingSubmitted",
                "the vendor throttles every post",
                _vendor_is("throttle"),
                _vendor_works,
            )
        ],
    ),
    Scene(
        "vendor",
        [
            Situation("AigcJobsHeld", "an answer is lost", _held, _decided),
            Situation(
                "AigcVendorRefusesKey",
                "the key is disabled",
                _key_disabled,
                _key_enabled,
                frozenset({"AigcNothingConsumes", "AigcWarning"}),
            ),
            Situation(
                "AigcBreakerOpen", "the vendor fails every job", _vendor_is("sys_error"), _vendor_works
            ),
            Situation(
                "AigcOldestJobTooOld",
                "a job has waited for 20 minutes, and all is paused",
                _paused,
                _resumed,
                IDLE,
            ),
        ],
    ),
    Scene(
        "redis",
        [
            Situation(
                "AigcRedisNearlyFull",
                "jobs fill Redis",
                _nearly_full,
                _more_memory,
                frozenset({"AigcWarning"}),
            ),
            Situation("AigcWarning", "Redis persists nothing", _persists("no"), _persists("yes")),
            Situation("AigcMetricsAway", "`aigc ui` ends", _ui_ends, Place.ui_again),
            Situation("AigcSpendAbovePlan", "the first purchase is dear", _bought),
        ],
    ),
)
"""Every alert at least once. By the rules that ship what fires without having to hold for a while."""
