"""`aigc forward status|failed|replay|forget`: the endpoints that are forwarded to, and care for them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from worker.cli.common import counted
from worker.cli.store import Moment, age, confirm, emit, opened, plain
from worker.cli.tables import Column, Table

if TYPE_CHECKING:
    from worker.store.forward_state import ForwardState
    from worker.store.forward_values import Stream
    from worker.store.keys import KeyNames

Command = TypeVar("Command", bound=Callable[..., Any])
_NEWEST: Final = f"{2**63 - 1}-{2**63 - 1}"


class Position(click.ParamType[str]):
    """The id of a stream's entry, or a time as `Moment` takes it; gives an id, that of a time without its
    sequence."""

    name = "time|id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if re.fullmatch(r"[0-9]{1,19}-[0-9]{1,19}", value):
            return str(value)
        return str(max(0, round(1000 * Moment().convert(value, param, ctx))))


def _of_endpoint(command: Command) -> Command:
    command = click.option("--name", default="", metavar="NAME", help="That of this name.")(command)
    return click.option("--to", "url", metavar="URL", help="Which endpoint; the only one, where not given.")(
        command
    )


@contextmanager
def _opened(url: str | None, name: str) -> Iterator[tuple[ForwardState, Any, dict[str, Any]]]:
    """The state of one endpoint, Redis, and what is known of the endpoint."""
    from worker.store.forward_state import ForwardState

    with opened() as (scripts, keys):
        found = {each["name"]: each for each in of_queue(scripts.client, keys)}
        wanted = _named(url, name) or (next(iter(found)) if len(found) == 1 else "")
        if wanted not in found:
            raise click.UsageError(_unknown(wanted, found))
        yield ForwardState(scripts.client, keys, wanted, _names()), scripts.client, found[wanted]


def _named(url: str | None, name: str) -> str:
    from worker.services.forward.endpoint import endpoint_of

    if name or not url:
        return name
    try:
        return endpoint_of(url).name
    except ValueError as error:
        raise click.UsageError(f"--to: {error}") from None


def _unknown(wanted: str, found: Mapping[str, Any]) -> str:
    if not found:
        return "nothing was forwarded yet: aigc forward --to URL"
    if wanted:
        return f"nothing was forwarded to {wanted}; known are {', '.join(found)}"
    return f"which one? --name {' or '.join(found)}"


def _names() -> dict[Stream, str]:
    from tasks.settings import broker_from_environ

    broker = broker_from_environ()
    return {"results": broker.results, "outputs": broker.outputs}


def of_queue(client: Any, keys: KeyNames) -> list[dict[str, Any]]:
    """How the endpoints of the queue stand, one object each. Raises as Redis does."""
    from worker.store.forward_stats import forwards

    return forwards(client, keys, _names())


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def status(as_json: bool) -> None:
    """How the endpoints stand: what waits, what was given up, which one fails."""
    with opened() as (scripts, keys):
        found = of_queue(scripts.client, keys)
    for each in found:
        emit(each, None if as_json else in_words(each))
    if not found:
        click.echo("aigc: nothing was forwarded yet", err=True)


def in_words(found: dict[str, Any]) -> str:
    """How one endpoint stands, in a line."""
    backlog = "?" if found["backlog"] is None else found["backlog"]
    words = [
        f"{found['url']} ({found['name']})" + ("" if found["active"] else ", nobody forwards to it"),
        f"{found['delivered']} delivered",
        f"{backlog} behind, {found['pending']} taken, {found['waiting']} to be sent again",
    ]
    words += [f"{found['given_up']} given up"] if found["given_up"] else []
    words += [f"{found['lost']} lost by trimming"] if found["lost"] else []
    if found["gone_s"] is not None:
        words.append(f"ENDED by HTTP 410 {age(found['gone_s'])} ago")
    elif found["failing_s"] is not None:
        words.append(f"FAILS for {age(found['failing_s'])}: {found['last_error']}")
    return ", ".join(words)


@click.command()
@_of_endpoint
def failed(url: str | None, name: str) -> None:
    """List messages that were given up: a table on a terminal, elsewhere JSON lines with the message."""
    with _opened(url, name) as (state, _, _):
        table = Table(Column("FAILED (UTC)", 20), Column("JOB", 36), Column("STREAM", 8))
        for _, dead in state.failed():
            if table.on_terminal:
                error = f"{dead['error']}, {counted(dead['attempts'], 'attempt')}"
                table.row(dead["failedAt"][:19], dead["jobId"] or "-", dead["stream"], rest=error)
            else:
                emit(dead)
        table.end("no message was given up")


@click.command()
@_of_endpoint
@click.option("--since", type=Position(), help="From then on: 2h, 2026-11-22T08:00Z, or an entry's id.")
@click.option("--until", type=Position(), help="Up to then.")
@click.option("--failed", "only_failed", is_flag=True, help="Of those that were given up.")
def replay(url: str | None, name: str, since: str | None, until: str | None, only_failed: bool) -> None:
    """Have messages sent again, under the ids that they had.

    The running `aigc forward` does it beside what is new. A time or id is that of the publication.

    \b
    Examples:
      aigc forward replay --since 2026-11-22T08:00Z --until 2026-11-22T09:00Z
      aigc forward replay --failed
    """
    if since is None and not only_failed:
        raise click.UsageError("give --since TIME or ID, or --failed")
    with _opened(url, name) as (state, client, about):
        asked = [_of_failed(since, until)] if only_failed else _of_streams(client, about, since or "0", until)
        for each in asked:
            state.ask_replay(each)
    words = "messages that were given up" if only_failed else " and ".join(about["streams"])
    click.echo(
        f"{words} are sent to {plain(about['url'])} again" + ("" if about["active"] else ", once it runs")
    )


def _of_failed(since: str | None, until: str | None) -> dict[str, str]:
    # Those that are given up meanwhile are not meant.
    now = str(round(1000 * time.time()))
    return {"stream": "failed", "last": now, "since": since or "0", "until": _end(until) or _NEWEST}


def _end(until: str | None) -> str | None:
    return until if until is None or "-" in until else f"{until}-{2**63 - 1}"


def _of_streams(
    client: Any, about: dict[str, Any], since: str, until: str | None
) -> Iterator[dict[str, str]]:
    from worker.store.forward_state import group_of
    from worker.store.forward_values import order_of

    names = _names()
    for stream in about["streams"]:
        groups = client.xinfo_groups(names[stream]) if client.exists(names[stream]) else []
        for group in groups:
            if group["name"] == group_of(about["name"]).encode():
                # What was not sent yet is sent anyway.
                last = min(group["last-delivered-id"].decode(), _end(until) or _NEWEST, key=order_of)
                yield {"stream": stream, "first": since, "last": last}


@click.command()
@_of_endpoint
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(url: str | None, name: str, yes: bool) -> None:
    """Delete all that Redis keeps of an endpoint; messages that it did not get yet, it does not get."""
    with _opened(url, name) as (state, _, about):
        if about["active"]:
            raise click.ClickException("it is being forwarded to: stop that first")
        click.echo(in_words(about), err=True)
        confirm(yes)
        state.forget()
