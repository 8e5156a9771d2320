"""`aigc failed list|show|retry|discard --malformed`: messages that no worker could read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

import click

from worker.cli.store import confirm, emit, opened, operator, plain
from worker.cli.tables import Column, Table

if TYPE_CHECKING:
    from worker.store.malformed import MalformedMessage, MalformedMessages


def list_malformed() -> None:
    """A table on a terminal, elsewhere JSON lines."""
    table = Table(Column("NAME", 12), Column("AT (UTC)", 24), Column("BYTES", 9))
    with _messages() as messages:
        for message in messages:
            about, text = message.about, message.raw.decode(errors="backslashreplace")
            if table.on_terminal:
                table.row(message.name, about["at"], f"{len(message.raw):,}", rest=about["reason"])
            else:
                emit({**about, "message": text, "name": message.name})
    table.end("no malformed message")


def show_malformed(name: str) -> None:
    """Print a message for whoever mends it."""
    from worker.store.malformed import editable

    with _messages() as messages:
        text = editable(_found(messages, (name,))[0].raw)
    click.echo(plain(text) if sys.stdout.isatty() else text)


def discard_malformed(names: tuple[str, ...], yes: bool) -> None:
    """Take these away for good, after a question; no names stand for all."""
    with _messages() as messages:
        _each("discard", "", messages, names, yes, lambda message: messages.discard(message, operator()))


def retry_malformed(names: tuple[str, ...], yes: bool, mended: BinaryIO | None) -> None:
    """Queue these again, after a question: as they came, or the only one as it was mended."""
    from worker.domain.message import Malformed
    from worker.store.malformed import fresh

    if mended is not None and len(names) != 1:
        raise click.UsageError("--message is one message's: say which, by one name")
    instead = mended.read() if mended is not None else None

    def retried(message: MalformedMessage) -> bool:
        try:
            whole = fresh(message.raw if instead is None else instead, messages.now_ms())
        except Malformed as error:
            click.echo(f"aigc: {message.name} stays, for no worker can read it: {error}", err=True)
            return False
        return messages.retry(message, whole, operator())

    with _messages() as messages:
        _each("retry", "; their jobs may each be bought", messages, names, yes, retried)


@contextmanager
def _messages() -> Iterator[MalformedMessages]:
    with opened() as (scripts, keys):
        from worker.store.malformed import MalformedMessages

        yield MalformedMessages(scripts.client, keys)


def _found(messages: MalformedMessages, names: tuple[str, ...]) -> list[MalformedMessage]:
    """All messages, or those of these names, in their order."""
    if not names:
        return list(messages)
    by_name = {message.name: message for message in messages if message.name in names}
    if unknown := [name for name in names if name not in by_name]:
        raise click.ClickException(f"no malformed message goes by {', '.join(unknown)}")
    return [by_name[name] for name in names]


def _each(
    what: str,
    risk: str,
    messages: MalformedMessages,
    names: tuple[str, ...],
    yes: bool,
    act: Callable[[MalformedMessage], bool],
) -> None:
    chosen = _found(messages, names)
    if chosen:
        click.echo(f"{what} {len(chosen)} malformed messages{risk}", err=True)
        for message in islice(chosen, 10):
            click.echo(f"  {message.name}  {message.about['reason']}", err=True)
        confirm(yes)
    done = sum(act(message) for message in chosen)
    click.echo(f"{what}: {done} of {len(chosen)} malformed messages")
    if done < len(chosen):
        raise click.exceptions.Exit(1)
