"""`aigc batch`: how far batches are."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import click

from worker.cli.common import broker_in_words, settings_in_words
from worker.cli.store import age, emit, plain
from worker.cli.tables import Column, Table

if TYPE_CHECKING:
    from tasks.batches import Progress

WATCH_EVERY_S: Final = 2.0


@click.group()
def batch() -> None:
    """Jobs that belong together: how far they are, what they cost, when they are done.

    aigc submit --batch NAME puts jobs into a batch, aigc cancel --batch NAME cancels those left.

    \b
    Example:
      aigc batch show nightly-2026-11-22 --watch
    """


@batch.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON, a line for each.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
def list_command(as_json: bool, limit: int) -> None:
    """List batches, those that changed last first.

    \b
    Example:
      aigc batch list --json | jq 'select(.finishedAt == null) | .batch'
    """
    from tasks import batches

    table = Table(Column("batch", 32), Column("jobs", 9), Column("waiting", 9), Column("submitted", 9))
    with settings_in_words(), broker_in_words():
        for name in batches.names(limit):
            try:
                found = batches.progress(name)
            except batches.NoSuchBatch:
                continue
            if as_json:
                click.echo(json.dumps(document(found)))
            else:
                counts = (found.total, found.waiting, found.statuses["submitted"])
                table.row(plain(name), *(f"{count:,}" for count in counts), rest=_state(found))


@batch.command("show")
@click.argument("name", metavar="NAME")
@click.option("--watch", is_flag=True, help=f"Again every {WATCH_EVERY_S:.0f} s, until it has finished.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object (with --watch, one each time).")
def show(name: str, watch: bool, as_json: bool) -> None:
    """Show how far a batch is: jobs, by status, cost, rate, time left.

    The cost is by AIGC_PRICE__<WORKFLOW>.

    \b
    Examples:
      aigc batch show nightly-2026-11-22 --watch
      aigc batch show nightly-2026-11-22 --json | jq .statuses
    """
    from tasks import batches

    while True:
        with settings_in_words(), _batch_in_words():
            found = batches.progress(name)
        if watch and not as_json:
            click.clear()
        click.echo(json.dumps(document(found)) if as_json else plain("\n".join(_lines(found))))
        if not watch or found.finished:
            return
        time.sleep(WATCH_EVERY_S)


@batch.command("close")
@click.argument("name", metavar="NAME")
@click.option(
    "--total", type=click.IntRange(0), metavar="N", help="It finishes only once it has so many jobs."
)
def close(name: str, total: int | None) -> None:
    """Say that all jobs of a batch were added: once they have ended it has finished.

    That is told on the stream <queue>:batches. --total is for jobs of foreign producers, which count only
    once a worker has taken them.

    \b
    Example:
      aigc batch close nightly-2026-11-22
    """
    from tasks import batches

    with settings_in_words(), _batch_in_words():
        found = batches.close(name, total=total)
    left = "all have ended" if found.finished else f"{found.waiting:,} have not ended"
    emit(document(found), f"batch {name} is closed: {found.total:,} jobs, {left}")


@contextmanager
def _batch_in_words() -> Iterator[None]:
    """Turn a name that no batch has, or can have, and a broker that is away into the command's failure."""
    from tasks import InvalidPayload
    from tasks.batches import NoSuchBatch

    try:
        with broker_in_words():
            yield
    except InvalidPayload as error:
        raise click.UsageError(str(error)) from None
    except NoSuchBatch as error:
        raise click.ClickException(plain(str(error))) from None


def document(found: Progress) -> dict[str, Any]:
    """A batch's progress as the commands print it in JSON."""
    return {
        "batch": found.batch,
        "total": found.total,
        "waiting": found.waiting,
        "statuses": found.statuses,
        "workflows": found.workflows,
        "startedAt": found.started_at,
        "changedAt": found.changed_at,
        "closedAt": found.closed_at,
        "finishedAt": found.finished_at,
        "expected": found.expected,
        "ratePerS": round(found.rate_per_s, 3),
        "timeLeftS": None if found.time_left_s is None else round(found.time_left_s, 1),
        "cost": _number(found.cost),
        "costInDoubt": _number(found.cost_in_doubt),
        "costWaiting": _number(found.cost_waiting),
        "currency": found.currency or None,
        "unpriced": list(found.unpriced),
    }


def _number(cost: Decimal | None) -> str | None:
    return None if cost is None else f"{cost:f}"


def _state(found: Progress) -> str:
    if found.finished:
        return f"finished at {found.finished_at}"
    return f"closed at {found.closed_at}" if found.closed else "open"


def _lines(found: Progress) -> Iterator[str]:
    percent = 100 * found.ended / found.total if found.total else 0.0
    expected = f" of {found.expected:,} expected" if found.expected is not None else ""
    yield f"batch      {found.batch}: {_state(found)}"
    ended = f"{found.ended:,} ended ({percent:.1f} %)"
    yield f"jobs       {found.total:,}{expected}, {ended}, {found.waiting:,} waiting"
    statuses = [f"{count:,} {status}" for status, count in found.statuses.items() if count]
    yield f"ended      {', '.join(statuses) or 'none'}"
    if len(found.workflows) > 1:
        for workflow, counts in found.workflows.items():
            yield f"           {workflow}: {', '.join(f'{n:,} {name}' for name, n in counts.items())}"
    yield f"time       since {found.started_at}, last change {found.changed_at}"
    if found.waiting:
        left = "unknown" if found.time_left_s is None else age(found.time_left_s)
        yield f"rate       {found.rate_per_s:.1f} a second, time left {left}"
    yield f"cost       {_cost(found)}"


def _cost(found: Progress) -> str:
    if found.cost is None:
        return "no prices: set AIGC_PRICE__<WORKFLOW>"
    currency = f" {found.currency}" if found.currency else ""
    words = f"{found.cost:f}{currency}"
    if found.cost_waiting:
        words += f", {found.cost_waiting:f}{currency} more if all that wait are bought"
    if found.cost_in_doubt:
        words += f", {found.cost_in_doubt:f}{currency} in doubt (unknown)"
    if found.unpriced:
        words += f"; without {', '.join(found.unpriced)}, which have no price"
    return words
