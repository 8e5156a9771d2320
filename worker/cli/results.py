"""`aigc results`: how jobs ended, from the stream of results."""

from __future__ import annotations

from typing import Any, Final, get_args

import click

from tasks.contract import Status
from worker.cli.common import broker_in_words
from worker.cli.message_options import check_group, message_options, shown_by
from worker.cli.result_table import ResultTable

STATUSES: Final[tuple[Status, ...]] = get_args(Status)


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--job", "jobs", multiple=True, metavar="JOB", help="Of this job only; may be repeated.")
@message_options(STATUSES)
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
    jobs, statuses, since = chosen["jobs"], chosen["statuses"], chosen["since"]
    given = {"--job": jobs, "--status": statuses, "--since": since, "--tail": tail}
    check_group(chosen["group"], chosen["consumer"], given)
    from tasks.results.feed import RESULTS
    from worker.cli.message_query import MessageFilter, Query
    from worker.cli.result_query import without_a_result

    show = shown_by(as_json, ResultTable)
    with broker_in_words():
        wanted = MessageFilter({"job_id": frozenset(jobs), "status": frozenset(statuses)}, since)
        query = Query(
            feed=RESULTS, wanted=wanted, tail=tail, follow=follow, group=chosen["group"],
            consumer=chosen["consumer"],
        )  # fmt: skip
        missing = dict.fromkeys(jobs)
        for result in query.messages():
            missing.pop(result.job_id, None)
            show(result)
        if missing and not statuses and since is None and tail is None:
            raise click.ClickException("\n".join(without_a_result(missing)))
        if missing:
            raise click.ClickException(f"no such result of: {', '.join(missing)}")
