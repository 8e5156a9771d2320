"""What the operators' commands share: the queue's store, who gives an order, text that is safe to show."""

from __future__ import annotations

import getpass
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from worker.cli.common import settings_in_words
from worker.cli.output import is_of_output
from worker.domain.wording import age as age
from worker.domain.wording import seconds_of

if TYPE_CHECKING:
    from worker.store.keys import KeyNames
    from worker.store.scripts import Scripts


@contextmanager
def opened() -> Iterator[tuple[Scripts, KeyNames]]:
    """The scripts and the keys of the queue; a Redis that is away ends the command in words."""
    from tasks.redis_errors import refusal
    from tasks.settings import broker_from_environ
    from worker.store.keys import KeyNames
    from worker.store.redis_wait import Away
    from worker.store.scripts import Scripts

    with settings_in_words():
        broker = broker_from_environ()
    keys = KeyNames(broker.queue, broker.results)
    scripts = Scripts(broker.redis_url, (keys.queue, keys.results), connections=2)
    try:
        yield scripts, keys
    except Away as error:
        if is_of_output(error):
            raise  # not Redis went away
        raise click.ClickException(refusal(error) or f"Redis does not answer: {error}") from None
    finally:
        scripts.client.close()


def operator() -> str:
    """Who gives the order, for the record: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())  # a container's user without a name
    return f"{user}@{socket.gethostname()}"


def confirm(yes: bool) -> None:
    """Ask whether to go on with what was just told, unless told so already; ends the command where not."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("no terminal to ask at: give --yes to go on")
    click.confirm("Go on?", abort=True, err=True)


class MomentOrAge(click.ParamType[float]):
    """So long ago (`90s`, `30m`, `2h`, `7d`), or an ISO 8601 time; gives seconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        if (ago_s := seconds_of(value)) is not None:
            return time.time() - ago_s
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is neither a time such as 2026-11-22T08:00Z nor an age such as 2h", param, ctx
            )
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def emit(document: dict[str, Any], words: str | None = None) -> None:
    """Print words on a terminal, and elsewhere, or where there are none, the document as a line of JSON."""
    if words is not None and sys.stdout.isatty():
        click.echo(plain(words))
    else:
        click.echo(json.dumps(document))


def plain(text: str) -> str:
    """Text of strangers that cannot move the terminal's cursor."""
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)
