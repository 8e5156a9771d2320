"""Queue, workers, limits and money, as lines and tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tasks.frozen import value
from tasks.prices import Prices
from worker.domain.costs import money
from worker.domain.wording import age, counted
from worker.services.ui.views.state import Found
from worker.store.audit import EVERYTHING
from worker.store.metrics import Snapshot


@value(frozen=True, slots=True)
class Fact:
    """One number, or a few words, under its name; ``level`` is empty where there is nothing to see to."""

    name: str
    words: str
    level: str = ""


@value(frozen=True, slots=True)
class WorkerRow:
    """One worker of a host; ``state`` in a word, ``about`` what keeps it from working."""

    name: str
    node: str
    pid: str
    version: str
    state: str
    level: str
    beat: str
    looked: str
    holds: int
    about: str


@value(frozen=True, slots=True)
class Host:
    """Workers of one machine."""

    name: str
    workers: tuple[WorkerRow, ...]


@value(frozen=True, slots=True)
class Pause:
    """``workflow`` is None for everything."""

    workflow: str | None
    words: str


def queue_facts(found: Found, snapshot: Snapshot) -> list[Fact]:
    """Where jobs are that have not ended."""
    jobs, oldest = found["jobs"], found["oldest_job_s"]
    lines = [f"{name} {count:,}" for name, count in snapshot.queued.items() if count]
    backlogs = [f"{workflow} {count:,}" for workflow, count in jobs["sidings"].items() if count]
    facts = [
        Fact("Queued", ", ".join(lines) or "none"),
        Fact("Oldest waits for", age(oldest) if oldest is not None else "-"),
        Fact("Being sent", f"{jobs['sending']:,}"),
        Fact("Taken by workers", counted(jobs["in_hand_messages"], "message")),
        Fact("Wait for a next attempt", f"{jobs['waiting']:,}"),
    ]
    if backlogs:
        facts.append(Fact("Wait for their workflow", ", ".join(backlogs)))
    if jobs["malformed_messages"]:
        words = f"{counted(jobs['malformed_messages'], 'message')}: aigc failed list --malformed"
        facts.append(Fact("Malformed", words, "attention"))
    return facts


def limit_facts(found: Found) -> list[Fact]:
    """What slows or stops the workers."""
    breaker, rate = found["brake"], found["pace"]
    facts = []
    if breaker["open"]:
        facts.append(Fact("Circuit breaker", f"open for {age(breaker['since_s'])}", "bad"))
        if breaker["cause"]:
            facts.append(Fact("Last failure", breaker["cause"], "bad"))
        probe = "under way" if breaker["probing"] else f"in {age(breaker['next_probe_s'])}"
        facts.append(Fact("Next probe", probe))
    else:
        facts.append(Fact("Circuit breaker", "closed"))
    if rate is None:
        facts.append(Fact("Adaptive rate", "nothing slows the workers"))
    else:
        facts.append(Fact("Adaptive rate", f"{rate['posts_per_s']} posts/s, {rate['grows']}", "attention"))
        if rate["nothing_for_s"]:
            facts.append(Fact("Nothing is sent for", age(rate["nothing_for_s"]), "attention"))
    if found["following"]["paused"]:
        facts.append(Fact("Following pauses", found["following"]["paused"], "attention"))
    return facts


def pauses(found: Found) -> list[Pause]:
    """What operators have paused."""
    return [
        Pause(None, "everything") if name == EVERYTHING else Pause(name, name) for name in found["paused"]
    ]


def money_facts(found: Found, snapshot: Snapshot, prices: Prices) -> list[Fact]:
    """What was bought, for how much, and what is in doubt."""
    counts, spent = found["money"], snapshot.counted.spent
    facts = [
        Fact("Submitted", f"{counts['submitted']:,} of {counted(counts['posts'], 'post')}"),
        Fact("Held as unknown", f"{counts['held']:,}", "attention" if counts["held"] else ""),
        Fact("Possible duplicates", f"{counts['possible_duplicates']:,}"),
        Fact("Paid twice", f"{counts['paid_twice']:,}", "bad" if counts["paid_twice"] else ""),
    ]
    for workflow, amount in sorted(spent.items()):
        facts.append(Fact(f"Spent on {workflow}", _amount(amount, prices)))
    if spent:
        facts.append(Fact("Spent in all", _amount(sum(spent.values()), prices)))
    elif not prices.by_workflow:
        facts.append(Fact("Spent", "not known: set AIGC_PRICE__<WORKFLOW>"))
    return facts


def _amount(amount: float, prices: Prices) -> str:
    return money(Decimal(str(round(amount, 6))), prices)


def hosts(found: Found) -> list[Host]:
    """All workers by the machine that they run on, the dead ones among them."""
    by_host: dict[str, list[WorkerRow]] = {}
    for worker in (*found["workers"], *found["dead_workers"]):
        by_host.setdefault(worker["host"] or "unknown host", []).append(_row(worker))
    return [Host(name, tuple(rows)) for name, rows in sorted(by_host.items())]


def _row(worker: dict[str, Any]) -> WorkerRow:
    state, level = next(_states(worker))
    looked = f"{age(worker['pulse_s'])} ago" if worker["pulse_s"] is not None else "never"
    return WorkerRow(
        name=worker["name"],
        node=worker["node"] or "",
        pid=str(worker["pid"] or "?"),
        version=worker["version"] or "?",
        state=state,
        level=level,
        beat=f"{age(worker['beat_s'])} ago",
        looked=looked,
        holds=worker["holds_messages"],
        about="; ".join(filter(None, (worker.get("refusal"), worker.get("trouble")))),
    )


def _states(worker: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not worker["alive"]:
        yield "dead", "bad"
    if worker["refused"]:
        yield "refused by the vendor", "bad"
    if not worker["consumes"]:
        yield "does not look at the queue", "bad"
    yield ("in trouble", "attention") if worker.get("trouble") else ("works", "good")
