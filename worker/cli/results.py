"""`aigc results`: how jobs ended, from the stream of results."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

import click

from tasks.contract import Status
from tasks.exceptions import BrokerUnavailable
from worker.cli.common import broker_in_words
from worker.cli.result_table import ResultTable
from worker.cli.store import Moment

if TYPE_CHECKING:
    from tasks import Result
    from worker.cli.result_query import ResultFilter

T = TypeVar("T")

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
PAUSE_S: Final = 1.0

log = logging.getLogger(__name__)


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--job", "jobs", multiple=True, metavar="JOB", help="Of this job only; may be repeated.")
@click.option("--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="May be repeated.")
@click.option("--since", type=Moment(), help="Published since: 2h, 7d, 2026-11-22T08:00Z.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="The last N of them.")
@click.option("--group", help="What this consumer group has not seen, acknowledging it.")
@click.option("--consumer", help="Name within the group; by default random, beginning HOST-PID.")
@click.option("--json/--human", "as_json", default=None, help="By default human on a terminal, else JSON.")
def results(follow: bool, tail: int | None, as_json: bool | None, **chosen: Any) -> None:
    """Print how jobs ended: all that is in the stream, oldest first.

    JSON is the contract's, one object a line. With --follow, or --group, nothing is left out between
    what was there and what comes. A JOB without a result is told of, and makes the exit code 1.

    \b
    Examples:
      aigc results --job order-17
      aigc results --status unknown --status exhausted --since 2h
      aigc results --tail 20 --follow
      aigc results | jq -r 'select(.status == "submitted") | .taskId'
      aigc results --follow --group billing --json >> billed.ndjson
    """
    jobs, group = chosen["jobs"], chosen["group"]
    filtered = jobs or chosen["statuses"] or chosen["since"] is not None or tail is not None
    if chosen["consumer"] and not group:
        raise click.UsageError("--consumer goes with --group")
    if group and filtered:
        raise click.UsageError(
            "--group acknowledges all that it reads: it does not go with --job, --status, --since or --tail"
        )
    from worker.cli.result_query import ResultFilter, without_a_result

    show = _show(as_json)
    with broker_in_words():
        wanted = ResultFilter(frozenset(jobs), frozenset(chosen["statuses"]), chosen["since"])
        found = _of_group(group, chosen["consumer"], follow) if group else _of_stream(wanted, tail, follow)
        missing = dict.fromkeys(jobs)
        for result in found:
            missing.pop(result.job_id, None)
            show(result)
        if missing and not chosen["statuses"] and chosen["since"] is None and tail is None:
            raise click.ClickException("\n".join(without_a_result(missing)))
        if missing:
            raise click.ClickException(f"no such result of: {', '.join(missing)}")


def _of_group(group: str, consumer: str | None, follow: bool) -> Iterator[Result]:
    from tasks.results import consume

    return consume(group, consumer, idle_timeout_s=None if follow else 0.0)


def _of_stream(wanted: ResultFilter, tail: int | None, follow: bool) -> Iterator[Result]:
    from worker.cli.result_query import last

    start = wanted.before_the_first
    if tail is not None:
        found, start = _asked(lambda: last(tail, wanted), follow)
        yield from found
        if not follow:
            return
    yield from (result for result in _replayed(start, follow) if wanted.has(result))


def _replayed(start: str, follow: bool) -> Iterator[Result]:
    from tasks.results import replay

    return _asked(lambda: replay(start, follow=follow), follow)


def _asked(ask: Callable[[], T], follow: bool) -> T:
    """What Redis answers. Who follows waits for it from the beginning, not only once it was there."""
    from tasks.clients import is_away

    while True:
        try:
            return ask()
        except BrokerUnavailable as error:
            if not (follow and is_away(error.__cause__)):
                raise
            log.warning("%s; trying again", error)
        time.sleep(PAUSE_S)


def _show(as_json: bool | None) -> Callable[[Result], None]:
    """What prints a result."""
    if as_json or (as_json is None and not sys.stdout.isatty()):
        return lambda result: click.echo(result.to_json())
    return ResultTable().add
