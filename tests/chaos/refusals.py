"""Redis says no, or something strange, at one step of a job's way: every step, every answer.

Through the proxy of `tests.chaos.refusing`, so each refusal is exactly where it shall be. A scenario comes in
two forms. In the one the fault ends: it strikes once before the step, once after it, and for some seconds;
nobody stops, and no job may be in doubt. In the other it lasts: the workers are stopped under it, and others
go on after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Final

from tests.chaos.answers import ANSWERS, FOREIGN
from tests.chaos.arena import Arena
from tests.chaos.commands import lua_texts
from tests.chaos.orders import FAULTS
from tests.chaos.pressure import PROVOCATIONS, Provocation, a_death, press, two_workers
from tests.chaos.refusing import AFTER, BEFORE, SCRIPTS, Fault, RefusingProxy
from tests.chaos.scenarios import Scenario, progress, settle
from tests.conditions import until
from tests.integration.stage import Worker

CONCURRENCY: Final = 4
SHORT_S, LONG_S = 3.0, 10.0
HEARD_S: Final = 0.1
"""A worker may go on for so long until it has read a refusal."""
EVERYTHING: Final = "*"
OPERATORS: Final = ("prune", "replay", "resolve")
"""Scripts that are no step of a job's way through the worker."""

ACKNOWLEDGE: Final = "acknowledge" if "acknowledge" in lua_texts() else "hdel"
WAY: Final = (
    "take", "claim", "settle", "reschedule", "release", "withdraw", "heartbeat", "promote", "takeover",
    "slow_down", "backlog", "quarantine", ACKNOWLEDGE,
)  # fmt: skip
"""The steps that every worker comes by in these scenarios."""

STEPS: Final = (
    EVERYTHING,
    *WAY,
    *sorted(name for name in lua_texts() if name not in WAY and name not in OPERATORS),
)
"""All steps; those that are not among `WAY` are new, and may not come by."""


@contextmanager
def refusing(arena: Arena) -> Iterator[RefusingProxy]:
    """Between the workers that are started within the block and Redis; after it all faults are over."""
    simplify(arena)
    with RefusingProxy(arena.server.port, Random(arena.rng.random())).running() as proxy:
        arena.settings["REDIS_URL"] = f"redis://127.0.0.1:{proxy.port}/0"
        yield proxy
        proxy.clear()
        finish(arena)
        arena.count["refusals"] += proxy.strikes
        if proxy.names.unknown:
            arena.complaints.append(f"scripts that the proxy cannot name: {proxy.names.unknown}")


def simplify(arena: Arena) -> None:
    """Few attempts at a time, and nothing that takes long without being refused."""
    arena.duplicates, arena.rare = 0.0, ()
    arena.patience_s = min(arena.patience_s, 75.0)
    arena.settings["CONCURRENCY"] = CONCURRENCY


def finish(arena: Arena) -> None:
    """Wait until all orders have ended, and stop the workers, who must all live by then."""
    working = [worker for worker in arena.workers if worker not in arena.gone]
    settle(arena)
    arena.check_alive(*working)
    arena.stop(*(worker for worker in working if worker.process.poll() is None))


def _name(step: str, answer: str) -> str:
    step = {EVERYTHING: "everything", "hdel": "acknowledge"}.get(step, step)
    return f"refused {step} {answer}"


def _provocations(step: str) -> tuple[Provocation, ...]:
    return (PROVOCATIONS[step],) if step in PROVOCATIONS else ()


def _strike(arena: Arena, proxy: RefusingProxy, fault: Fault, seconds: float) -> None:
    """Press until the fault has struck for so long, or as often as it shall."""
    proxy.inject(fault)
    if fault.target == "takeover":
        a_death(arena)
    lasting = fault.times is None

    def enough() -> bool:
        return fault.strikes > 0 and (not lasting or time.monotonic() - fault.first > seconds)

    struck = press(arena, enough, *_provocations(fault.target), most_s=seconds + 15)
    if not struck and (fault.target in WAY or fault.target == EVERYTHING):
        arena.complaints.append(f"{fault.target} was never refused {fault.when} ({fault.strikes} strikes)")
    if struck and lasting:
        check_purchases(arena, fault, seconds)


def check_purchases(arena: Arena, fault: Fault, seconds: float) -> None:
    """Complain where more was bought under the refusal of a settling than had been in flight."""
    if fault.target not in ("settle", EVERYTHING) or fault.answer == "silence" or fault.share < 1:
        return  # silence is no refusal before it has lasted
    bound = 2 * CONCURRENCY
    bought = bought_after(arena, fault.first, fault.first + seconds)
    if bought > bound:
        arena.complaints.append(
            f"{bought} bought after the first refusal of a settling, {bound} could be in flight"
        )


def bought_after(arena: Arena, refusal: float, end: float) -> int:
    """How many posts the vendor accepted after a worker has heard of a refusal, until another moment."""
    return sum(refusal + HEARD_S < post["arrived"] < end for post in arena.vendor.get("ledger"))


def _that_ends(step: str, answer: str) -> Scenario:
    def run(arena: Arena, jobs: int) -> None:
        seconds = LONG_S if arena.long else SHORT_S
        with refusing(arena) as proxy:
            two_workers(arena)
            if step != "takeover":  # a worker has to die for each
                _strike(arena, proxy, Fault(step, answer, BEFORE, times=1), seconds)
            _strike(arena, proxy, Fault(step, answer, AFTER, times=1), seconds)
            when = BEFORE if step == "takeover" else arena.rng.choice([BEFORE, AFTER])
            _strike(arena, proxy, Fault(step, answer, when, seconds=seconds), seconds)

    run.__doc__ = f"{step} is answered {answer}: once before it is run, once after, and for some seconds."
    return Scenario(_name(step, answer), run, share=0.02)


def _that_lasts(step: str, answer: str) -> Scenario:
    def run(arena: Arena, jobs: int) -> None:
        with refusing(arena) as proxy:
            workers = two_workers(arena)
            for when in [BEFORE, AFTER] if arena.long else [arena.rng.choice([BEFORE, AFTER])]:
                arena.send(arena.order_many(8))
                progress(arena, 0.5)
                arena.send(arena.order_many(24, *FAULTS))
                _strike(arena, proxy, Fault(step, answer, when), 1.0)
                workers = restarted(arena, workers, proxy.clear)

    run.__doc__ = f"{step} is answered {answer} until the workers are stopped; others go on without it."
    return Scenario(f"{_name(step, answer)}, restart", run, share=0.02)


def restarted(arena: Arena, workers: Sequence[Worker], mend: Callable[[], None]) -> list[Worker]:
    """Stop these workers, who must live, mend Redis, and start as many others."""
    arena.check_alive(*workers)
    arena.stop(*(worker for worker in workers if worker.process.poll() is None))
    arena.gone += workers
    mend()
    fresh = [arena.start() for _ in workers]
    until(lambda: all(arena.owners_of(worker.process.pid) for worker in fresh), "fresh workers")
    return fresh


def _a_third(arena: Arena, jobs: int) -> None:
    """A third of all scripts is answered WRONGTYPE, and not run, for four seconds."""
    with refusing(arena) as proxy:
        _under_a_third(arena, proxy)


def _a_third_restart(arena: Arena, jobs: int) -> None:
    """The same, and then the workers are stopped at once and others started."""
    with refusing(arena) as proxy:
        restarted(arena, _under_a_third(arena, proxy), proxy.clear)


def _under_a_third(arena: Arena, proxy: RefusingProxy) -> Sequence[Worker]:
    workers = two_workers(arena)
    fault = Fault(SCRIPTS, "WRONGTYPE", arena.rng.choice([BEFORE, AFTER]), seconds=4.0, share=1 / 3)
    proxy.inject(fault)
    arena.send(arena.order_many(40, *PLAIN_FAULTS))
    press(arena, lambda: fault.over, most_s=20)
    return workers


def _storm(arena: Arena, jobs: int) -> None:
    """Each step is refused now and then, with every answer, before and after, while jobs come."""
    with refusing(arena) as proxy:
        two_workers(arena)
        answers = [answer for answer in ANSWERS if answer not in ("silence", FOREIGN)]
        faults = [
            Fault(SCRIPTS, answer, when, seconds=8.0, share=0.01)
            for answer in answers
            for when in (BEFORE, AFTER)
        ]
        proxy.inject(*faults)
        press(arena, lambda: False, *PROVOCATIONS.values(), most_s=10.0)


PLAIN_FAULTS: Final = (("[[sys_error*1]]", "submitted"), ("[[param_error*1]]", "rejected"))

ENDING: Final = tuple(_that_ends(step, answer) for step in STEPS for answer in ANSWERS)
LASTING: Final = tuple(_that_lasts(step, answer) for step in STEPS for answer in ANSWERS)
MIXED: Final = (
    Scenario("refused a third", _a_third, share=0.06),
    Scenario("refused a third, restart", _a_third_restart, share=0.06),
    Scenario("refused storm", _storm, share=0.06),
)
