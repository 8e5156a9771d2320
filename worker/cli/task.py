"""`aigc task`: what has become of a task of the vendor's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from tasks.exceptions import BrokerUnavailable
from worker.cli.common import settings_in_words
from worker.cli.query_form import in_words, is_taken, task_id_of
from worker.cli.store import plain
from worker.cli.task_record import followed, in_line
from worker.domain.query import (
    Failed,
    Pending,
    QueryOutcome,
    Refused,
    Succeeded,
    TaskUnknown,
    Throttled,
    Unanswered,
)

if TYPE_CHECKING:
    from tasks import Result

LOOK_S: Final = 5.0
"""For so long the results are searched for the task's job."""

_BARE: Final = "show"


class TaskGroup(click.Group):
    """A group that takes a task's id in a subcommand's place: that is the same as `show` before it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_BARE, *args]
        return super().parse_args(ctx, args)


@click.group(cls=TaskGroup, subcommand_metavar="TASK_ID | COMMAND [ARGS]...")
def task() -> None:
    """A task of the vendor's: what has become of it.

    With a task id, the vendor is asked once; that costs nothing.

    \b
    Examples:
      aigc task 6a28e8f6-3a6c-4d1b-9f0f-1c1f7c3f3a52
      aigc task 6a28e8f6-3a6c-4d1b-9f0f-1c1f7c3f3a52 --json | jq -r .url
    """


@task.command(_BARE)
@click.argument("task_id", metavar="TASK_ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(task_id: str, as_json: bool) -> None:
    """Ask the vendor once about a task, and show what is known of its job: as `aigc task TASK_ID`.

    The job is searched for among the results in Redis. Exit 1 where the vendor does not tell of the task.

    \b
    Example:
      aigc task show 6a28e8f6-3a6c-4d1b-9f0f-1c1f7c3f3a52
    """
    from worker.config.settings import from_environ
    from worker.from_settings import query_client_of

    task_id_of(task_id)
    with settings_in_words():
        settings = from_environ()
    result, note = _job_of(task_id)
    client = query_client_of(settings)
    try:
        outcome = client.ask(task_id)
    finally:
        client.close()
    record = followed(task_id)
    if as_json:
        click.echo(json.dumps(_document(task_id, outcome, result, note) | {"followed": record}))
    else:
        click.echo(plain("\n".join([*_lines(task_id, outcome, result, note), *in_line(record)])))
    if isinstance(outcome, Refused) and not as_json:
        raise click.ClickException(
            f"the vendor refuses the query; how it wants it signed: aigc doctor --task {plain(task_id)}"
        )
    if not is_taken(outcome):
        raise click.exceptions.Exit(1)


def _job_of(task_id: str) -> tuple[Result | None, str | None]:
    """The result of the task's job, and else why there is none."""
    from worker.cli.result_query import of_task

    try:
        found = of_task(task_id, LOOK_S)
    except BrokerUnavailable as error:
        return None, f"not known: {error}"
    return found, None if found else "not known: no result in Redis names this task"


_STATES: Final = {
    Pending: "pending",
    Succeeded: "succeeded",
    Failed: "failed",
    Unanswered: "unanswered",
    Throttled: "throttled",
    Refused: "refused",
    TaskUnknown: "unknown",
}


def _document(task_id: str, outcome: QueryOutcome, result: Result | None, note: str | None) -> dict[str, Any]:
    return {
        "taskId": task_id,
        "state": _STATES[type(outcome)],
        "vendorStatus": _status_of(outcome),
        "url": outcome.url if isinstance(outcome, Succeeded) else None,
        "error": None if is_taken(outcome) else in_words(outcome),
        "jobId": result.job_id if result else None,
        "workflow": result.workflow if result else None,
        "version": result.version if result else None,
        "submittedAt": result.finished_at if result else None,
        "metadata": result.metadata if result else None,
        "jobNote": note,
    }


def _status_of(outcome: QueryOutcome) -> str | None:
    match outcome:
        case Pending(status) | Failed(status):
            return status
        case Succeeded():
            return "SUCCESS"
    return None


def _lines(task_id: str, outcome: QueryOutcome, result: Result | None, note: str | None) -> list[str]:
    told = in_words(outcome) if is_taken(outcome) else f"not known: {in_words(outcome)}"
    lines = [f"task       {task_id}", f"status     {told}"]
    if isinstance(outcome, Succeeded):
        lines.append(f"url        {outcome.url}")
    if result is None:
        return [*lines, f"job        {note}"]
    return [
        *lines,
        f"job        {result.job_id}, accepted at {result.finished_at}",
        f"workflow   {result.workflow} {result.version}",
        f"metadata   {json.dumps(result.metadata, ensure_ascii=False)}",
    ]
