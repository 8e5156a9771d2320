"""The options of the commands that print a stream of messages: `aigc results` and `aigc outputs`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import click

from worker.cli.store import MomentOrAge

F = TypeVar("F", bound=Callable[..., Any])
M_contra = TypeVar("M_contra", contravariant=True)
M = TypeVar("M", bound="Message")


class Message(Protocol):
    """What is printed."""

    def to_json(self) -> str: ...


class MessageTable(Protocol[M_contra]):
    """A table for people."""

    def add(self, message: M_contra, /) -> None: ...


def message_options(statuses: Sequence[str]) -> Callable[[F], F]:
    """The options that come after those by which a message's id is chosen."""
    options = [
        click.option(
            "--status", "statuses", multiple=True, type=click.Choice(statuses), help="May be repeated."
        ),
        click.option("--since", type=MomentOrAge(), help="Published since: 2h, 7d, 2026-11-22T08:00Z."),
        click.option("--tail", type=click.IntRange(min=0), metavar="N", help="The last N of them."),
        click.option("--group", help="What this consumer group has not seen, acknowledging it."),
        click.option("--consumer", help="Name within the group; by default random, beginning HOST-PID."),
        click.option(
            "--json/--human", "as_json", default=None, help="By default human on a terminal, else JSON."
        ),
    ]  # fmt: skip

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def check_group(group: str | None, consumer: str | None, filters: dict[str, object]) -> None:
    """Raises click.UsageError where a group would acknowledge what nobody sees.

    Args:
        filters: what was chosen by, by its option; None and what is empty was not given.
    """
    for option, name in (("--group", group), ("--consumer", consumer)):
        if name == "":  # an unset variable of a script: what is read would not be acknowledged
            raise click.UsageError(f"{option} must be a name, and is empty")
    if consumer and not group:
        raise click.UsageError("--consumer goes with --group")
    if group and any(value is not None and value != () for value in filters.values()):
        *others, last = filters
        names = f"{', '.join(others)} or {last}"
        raise click.UsageError(f"--group acknowledges all that it reads: it does not go with {names}")


def shown_by(as_json: bool | None, table: Callable[[], MessageTable[M]]) -> Callable[[M], None]:
    """What prints a message."""
    if as_json or (as_json is None and not sys.stdout.isatty()):
        return lambda message: click.echo(message.to_json())
    return table().add
