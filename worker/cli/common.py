"""What the commands share: an expected failure in words instead of a traceback."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from tasks.exceptions import BrokerUnavailable, SettingsError
from worker.domain.wording import counted as counted

CHECK_PAYLOADS: Final = ("submit", "map", "check", "events")
"""The commands for which `know_workflows_first` is."""


@contextmanager
def settings_in_words() -> Iterator[None]:
    """Turn settings that cannot be right into the command's failure, a line for each."""
    try:
        yield
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def know_workflows_first(command: click.Command) -> None:
    """Have a command that checks payloads read the declared workflows first: their fault is no job's."""
    run = command.callback
    assert run is not None

    @functools.wraps(run)
    def checked(*args: Any, **kwargs: Any) -> Any:
        from tasks.declared.current import current

        with settings_in_words():
            current()
        return run(*args, **kwargs)

    command.callback = checked


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
