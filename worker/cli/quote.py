"""What submitting would do: how many jobs, what they cost, how long they take. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tasks.prices import PREFIX, Prices
from worker.cli.common import counted
from worker.domain.costs import cost, money


@dataclass(slots=True)
class Quote:
    """What was found so far; what is not known is None."""

    unit: str
    seen: int = 0
    invalid: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    valid: int = 0
    duplicates: int = 0
    """Jobs that are one purchase with another one of the file."""
    repeated: int = 0
    """Jobs without an id that are like another one: each is bought."""
    bought: int | None = 0
    """Jobs of which an earlier run holds the purchase key or the id."""
    bad_pictures: int | None = None
    """Jobs with a picture that the vendor would refuse; None where pictures were not looked at."""
    new: Counter[str] = field(default_factory=Counter)
    """Jobs that would be bought, by workflow."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast jobs go out, and what is before them; None is not known, or no limit."""

    rate_per_s: float | None = None
    workflow_rates: Mapping[str, float] = field(default_factory=dict)
    learned_per_s: float | None = None
    ahead: int | None = None
    """Jobs in the queue, waiting or in hand."""
    ahead_of: Mapping[str, int] = field(default_factory=dict)
    """Of these, jobs that wait for their own workflow only."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long it takes until the last job was sent."""

    seconds: float
    by: str
    """The limit that decides it."""


def estimate(new: Mapping[str, int], pace: Pace) -> Estimate | None:
    """By the limit that takes longest; None where nothing limits, or no limit is known."""
    total = sum(new.values())
    if not total:
        return None
    found = []
    ahead = pace.ahead or 0
    if pace.rate_per_s:
        found.append(Estimate((ahead + total) / pace.rate_per_s, f"AIGC_RATE_PER_S={pace.rate_per_s:g}"))
    if pace.learned_per_s:
        by = f"{pace.learned_per_s:g} posts/s, as the vendor's answers taught"
        found.append(Estimate((ahead + total) / pace.learned_per_s, by))
    for workflow, rate in pace.workflow_rates.items():
        if count := new.get(workflow, 0):
            count += pace.ahead_of.get(workflow, 0)
            found.append(Estimate(count / rate, f"AIGC_RATE_PER_S__{workflow}={rate:g}"))
    return max(found, key=lambda each: each.seconds, default=None)


def document(quote: Quote, pace: Pace, prices: Prices, notes: list[str]) -> dict[str, Any]:
    """All of it as one JSON object; amounts are strings, for they are decimals."""
    by_workflow, total = cost(quote.new, prices)
    took = estimate(quote.new, pace)
    return {
        f"{quote.unit}s": quote.seen,
        "valid": quote.valid,
        "invalid": quote.invalid,
        "skipped": dict(quote.skipped),
        "duplicates": quote.duplicates,
        "repeated": quote.repeated,
        "boughtAlready": quote.bought,
        "badPictures": quote.bad_pictures,
        "toBuy": dict(sorted(quote.new.items())),
        "cost": {
            "byWorkflow": {name: None if it is None else str(it) for name, it in by_workflow.items()},
            "total": None if total is None else str(total),
            "currency": prices.currency or None,
        },
        "ahead": pace.ahead,
        "seconds": None if took is None else round(took.seconds, 1),
        "limit": None if took is None else took.by,
        "notes": notes,
    }


def lines(quote: Quote, pace: Pace, prices: Prices, notes: list[str]) -> Iterator[str]:
    """The same for a person."""
    yield f"valid       {counted(quote.valid, 'job')} of {counted(quote.seen, quote.unit)}"
    yield f"invalid     {counted(quote.invalid, quote.unit)}"
    for reason, count in quote.skipped.items():
        yield f"no job      of {counted(count, quote.unit)}: {reason}"
    yield f"duplicates  {quote.duplicates:,} within the file"
    if quote.repeated:
        yield (
            f"repeated    {quote.repeated:,} without an id that are like another one: each is bought;"
            " --dedupe leaves them out"
        )
    yield f"bought      {'not known' if quote.bought is None else f'{quote.bought:,} already'}"
    if quote.bad_pictures is not None:
        yield f"pictures    {counted(quote.bad_pictures, 'job')} with a picture that would be refused"
    new = ", ".join(f"{workflow} {count:,}" for workflow, count in sorted(quote.new.items()))
    yield f"to buy      {counted(sum(quote.new.values()), 'job')}{f': {new}' if new else ''}"
    yield from _cost_lines(quote.new, prices)
    yield f"time        {_time(quote, pace)}"
    for note in notes:
        yield f"note        {note}"
    yield "nothing was queued"


def _cost_lines(new: Mapping[str, int], prices: Prices) -> Iterator[str]:
    by_workflow, total = cost(new, prices)
    for workflow, amount in by_workflow.items():
        if amount is None:
            yield f"cost        {workflow}: not known, for {PREFIX}{workflow} is not set"
        else:
            times = f"{new[workflow]:,} x {prices.of(workflow)}"
            yield f"cost        {workflow}: {times} = {money(amount, prices)}"
    known = [amount for amount in by_workflow.values() if amount is not None]
    if total is not None:
        yield f"cost        total {money(total, prices)}"
    elif known:
        least = money(sum(known, Decimal(0)), prices)
        yield f"cost        total at least {least}; some prices are not known"
    else:
        yield "cost        total not known"


def _time(quote: Quote, pace: Pace) -> str:
    behind = (
        f"behind {counted(pace.ahead, 'job')} in the queue"
        if pace.ahead is not None
        else "the backlog not known"
    )
    if not sum(quote.new.values()):
        return "none: nothing is to be bought"
    found = estimate(quote.new, pace)
    if found is None:
        return f"not known: no limit is set here (AIGC_RATE_PER_S) and none was learned; {behind}"
    return f"about {duration(found.seconds)} by {found.by}; {behind}"


def duration(seconds: float) -> str:
    """In two units at most: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = max(1, round(seconds))
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours = minutes // 60
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"
