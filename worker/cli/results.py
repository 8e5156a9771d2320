"""`aigc results`: how jobs ended, from the stream of results."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from tasks.exceptions import BrokerUnavailable
from worker.cli.common import broker_in_words

if TYPE_CHECKING:
    from tasks import Result

PAUSE_S: Final = 1.0

log = logging.getLogger(__name__)


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--group", help="What this consumer group has not seen, acknowledging it.")
@click.option("--consumer", help="Name within the group; by default random, beginning HOST-PID.")
@click.option("--json/--human", "as_json", default=None, help="By default human on a terminal, else JSON.")
def results(follow: bool, group: str | None, consumer: str | None, as_json: bool | None) -> None:
    """Print how jobs ended: all that is in the stream, oldest first.

    JSON is the contract's, one object a line. With --follow, or --group, nothing is left out between
    what was there and what comes.

    \b
    Examples:
      aigc results | jq 'select(.status == "unknown")'
      aigc results --follow
      aigc results --follow --group billing --json >> billed.ndjson
    """
    if consumer and not group:
        raise click.UsageError("--consumer goes with --group")
    show = _json if as_json or (as_json is None and not sys.stdout.isatty()) else _human
    with broker_in_words():
        found = _of_group(group, consumer, follow) if group else _of_stream(follow)
        for result in found:
            click.echo(show(result))


def _of_group(group: str, consumer: str | None, follow: bool) -> Iterator[Result]:
    from tasks.results import consume

    return consume(group, consumer, idle_timeout_s=None if follow else 0.0)


def _of_stream(follow: bool) -> Iterator[Result]:
    from tasks.clients import is_away
    from tasks.results import replay

    while True:
        try:
            return replay(follow=follow)
        except BrokerUnavailable as error:
            # Who follows waits for Redis from the beginning, not only once it was there.
            if not (follow and is_away(error.__cause__)):
                raise
            log.warning("%s; trying again", error)
        time.sleep(PAUSE_S)


def _json(result: Result) -> str:
    return result.to_json()


def _human(result: Result) -> str:
    words = [result.finished_at, f"{result.status:<9}", result.job_id, result.workflow]
    words += [f"task {result.task_id}"] if result.task_id else []
    words += [f"{result.attempts} attempt{'s' if result.attempts != 1 else ''}"]
    words += ["possible duplicate"] if result.possible_duplicate else []
    words += [": ".join(filter(None, (result.error_code, result.error_msg)))]
    # What the vendor says must not move the terminal's cursor, nor begin a line of its own.
    return "".join(char if char.isprintable() else "�" for char in "  ".join(filter(None, words)))
