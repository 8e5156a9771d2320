"""`aigc top`: how the queue stands, live."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from worker.cli.common import settings_in_words
from worker.cli.store import opened

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks.",
)
def top(every_s: float) -> None:
    """Watch the queue live: state, rates, the vendor's times, limits, money, dead letters, warnings, workers.

    For a terminal, 80 columns are enough; q or Ctrl-C ends it. Where the output is none, or one that cannot
    move its cursor (TERM=dumb), a line is printed each time instead. While Redis is away it says so, and
    goes on once it is back.

    \b
    Examples:
      aigc top
      aigc top --every 60 | tee -a queue.log
    """
    with opened() as (scripts, keys):
        from worker.cli.live.loop import Looker, in_lines, live

        with settings_in_words():
            looker = Looker(scripts, keys, every_s)
        console = _console()
        if console is None:
            in_lines(looker, every_s)
        else:
            live(looker, console, every_s)


def _console() -> Console | None:
    """Where to draw; None where nothing can be drawn."""
    if not sys.stdout.isatty():
        return None
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        words = "rich is missing: pip install '.[worker]' in the directory of aigc-worker; or aigc top | cat"
        raise click.ClickException(words) from None
    # What is shown has no markup, and nothing of strangers is to be coloured by its form.
    console = Console(markup=False, highlight=False, emoji=False)
    return None if console.is_dumb_terminal else console
