"""`aigc forward status|failed|forget`: how endpoints stand, what was given up, and one that is no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from worker.cli.common import counted
from worker.cli.store import age, confirm, emit, opened
from worker.cli.tables import Column, Table

if TYPE_CHECKING:
    from worker.store.forward_state import ForwardState
    from worker.store.forward_values import Stream
    from worker.store.keys import KeyNames

Command = TypeVar("Command", bound=Callable[..., Any])


def of_endpoint(command: Command) -> Command:
    """The options that say which endpoint a command is about."""
    command = click.option(
        "--name", default=_given("name", ""), metavar="NAME", help="That of this name.", show_default=False
    )(command)
    return click.option(
        "--to", "url", default=_given("url", None), metavar="URL", show_default=False,
        help="Which endpoint; the only one, where not given.",
    )(command)  # fmt: skip


def _given(name: str, otherwise: str | None) -> Callable[[], str | None]:
    """What stands before the command's name: `aigc forward --to URL replay`."""

    def given() -> str | None:
        parent = click.get_current_context().parent
        return parent.params.get(name, otherwise) if parent else otherwise

    return given


@contextmanager
def opened_endpoint(url: str | None, name: str) -> Iterator[tuple[ForwardState, Any, dict[str, Any]]]:
    """The state of one endpoint, Redis, and what is known of the endpoint."""
    from worker.store.forward_state import ForwardState

    with opened() as (scripts, keys):
        found = {each["name"]: each for each in of_queue(scripts.client, keys)}
        wanted = _named(url, name) or (next(iter(found)) if len(found) == 1 else "")
        if wanted not in found:
            raise click.UsageError(_unknown(wanted, found))
        yield ForwardState(scripts.client, keys, wanted, stream_names()), scripts.client, found[wanted]


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


def stream_names() -> dict[Stream, str]:
    """The streams' names in Redis."""
    from tasks.settings import broker_from_environ

    broker = broker_from_environ()
    return {"results": broker.results, "outputs": broker.outputs}


def of_queue(client: Any, keys: KeyNames) -> list[dict[str, Any]]:
    """How the endpoints of the queue stand, one object each. Raises as Redis does."""
    from worker.store.forward_stats import forwards

    return forwards(client, keys, stream_names())


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
@of_endpoint
def failed(url: str | None, name: str) -> None:
    """List messages that were given up: a table on a terminal, elsewhere JSON lines with the message."""
    with opened_endpoint(url, name) as (state, _, _):
        table = Table(Column("FAILED (UTC)", 20), Column("JOB", 36), Column("STREAM", 8))
        for _, dead in state.failed():
            if table.on_terminal:
                error = f"{dead['error']}, {counted(dead['attempts'], 'attempt')}"
                table.row(dead["failedAt"][:19], dead["jobId"] or "-", dead["stream"], rest=error)
            else:
                emit(dead)
        table.end("no message was given up")


@click.command()
@of_endpoint
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(url: str | None, name: str, yes: bool) -> None:
    """Delete all that Redis keeps of an endpoint; messages that it did not get yet, it does not get."""
    with opened_endpoint(url, name) as (state, _, about):
        if about["active"]:
            raise click.ClickException("it is being forwarded to: stop that first")
        click.echo(in_words(about), err=True)
        confirm(yes)
        state.forget()
