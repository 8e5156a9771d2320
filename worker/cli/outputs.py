"""`aigc outputs`: what became of task ids, from the stream of outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

import click

from tasks.contract import OutputStatus
from worker.cli.common import broker_in_words
from worker.cli.message_options import check_group, message_options, shown_by
from worker.cli.output_table import OutputTable

if TYPE_CHECKING:
    from tasks import Output

STATUSES: Final[tuple[OutputStatus, ...]] = get_args(OutputStatus)
_NO_OUTPUT: Final = (
    "no output: it has not ended, nobody follows it (AIGC_FOLLOW), or its output is in the stream no longer"
)


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="Of this task only; may be repeated.")
@click.option("--job", "jobs", multiple=True, metavar="JOB", help="Of this job only; may be repeated.")
@message_options(STATUSES)
def outputs(follow: bool, tail: int | None, as_json: bool | None, **chosen: Any) -> None:
    """Print what became of task ids: all that is in the stream, oldest first.

    JSON is the contract's, one object a line. With --follow, or --group, nothing is left out between
    what was there and what comes. A TASK or JOB without an output is told of, and makes the exit code 1.

    \b
    Examples:
      aigc outputs --job order-17
      aigc outputs --status failed --status lost --since 2h
      aigc outputs --tail 20 --follow
      aigc outputs | jq -r 'select(.status == "succeeded") | .file // .url'
      aigc outputs --follow --group gallery --json >> pictures.ndjson
    """
    tasks, jobs, statuses, since = (chosen[name] for name in ("tasks", "jobs", "statuses", "since"))
    given = {"--task": tasks, "--job": jobs, "--status": statuses, "--since": since, "--tail": tail}
    check_group(chosen["group"], chosen["consumer"], given)
    from tasks.outputs.feed import OUTPUTS
    from worker.cli.message_query import MessageFilter, Query

    show = shown_by(as_json, OutputTable)
    with broker_in_words():
        allowed = {"task_id": frozenset(tasks), "job_id": frozenset(jobs), "status": frozenset(statuses)}
        query = Query(
            feed=OUTPUTS, wanted=MessageFilter(allowed, since), tail=tail, follow=follow,
            group=chosen["group"], consumer=chosen["consumer"],
        )  # fmt: skip
        is_filtered = bool(statuses) or since is not None or tail is not None
        missing = _Missing(tasks, jobs, "no such output" if is_filtered else _NO_OUTPUT)
        for output in query.messages():
            missing.found(output)
            show(output)
        missing.end()


class _Missing:
    """The tasks and jobs that were asked for and have no output."""

    def __init__(self, tasks: tuple[str, ...], jobs: tuple[str, ...], words: str) -> None:
        self._tasks, self._jobs, self._words = dict.fromkeys(tasks), dict.fromkeys(jobs), words

    def found(self, output: Output) -> None:
        self._tasks.pop(output.task_id, None)
        self._jobs.pop(output.job_id or "", None)

    def end(self) -> None:
        """Raises click.ClickException, a line for each of them."""
        lines = [f"task {task}: {self._words}" for task in self._tasks]
        lines += [f"job {job}: {self._words}" for job in self._jobs]
        if lines:
            raise click.ClickException("\n".join(lines))
