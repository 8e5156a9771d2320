"""What the commands share: an expected failure in words instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from tasks.exceptions import BrokerUnavailable, SettingsError


def counted(count: int, thing: str, things: str = "") -> str:
    """A number of things in words: 1 job, 1,200 jobs; the plural where it is not made by an s."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {things or thing + 's'}"


@contextmanager
def settings_in_words() -> Iterator[None]:
    """Turn settings that cannot be right into the command's failure, a line for each."""
    try:
        yield
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def broker_in_words() -> Iterator[None]:
    """The same for a broker that is away, or whose settings cannot be right."""
    from tasks import broker

    with settings_in_words():
        broker.settings()
    try:
        yield
    except BrokerUnavailable as error:
        raise click.ClickException(str(error)) from None
