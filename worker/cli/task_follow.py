"""`aigc task follow|list|forget`: which tasks are asked about until they end."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from tasks.checks import NAME_RULE, is_name
from worker.cli.common import counted, settings_in_words
from worker.cli.store import age, opened, operator, plain

if TYPE_CHECKING:
    from worker.store.task_admin import ShownTask, TaskAdmin

_PAGE: Final = 500
_TOLD: Final = 20
DEFAULT_DEADLINE_S: Final = 86_400.0


@contextmanager
def administered() -> Iterator[TaskAdmin]:
    """The followed tasks of the queue; a Redis that is away ends the command in words."""
    from tasks.settings import broker_from_environ
    from worker.store.task_admin import TaskAdmin

    with opened() as (scripts, keys):
        yield TaskAdmin(scripts, keys, broker_from_environ().outputs)


def task_ids_of(given: Sequence[str]) -> list[str]:
    """The ids that were given, each once; `-` stands for the lines of standard input.

    Raises click.UsageError for what cannot be a task id.
    """
    from worker.cli.query_form import task_id_of

    found = dict.fromkeys(map(task_id_of, _each_of(given)))
    if not found:
        raise click.UsageError("say which tasks: by id, or - for ids on standard input, one a line")
    return list(found)


def _each_of(given: Sequence[str]) -> Iterator[str]:
    for each in given:
        if each == "-":
            yield from filter(None, (line.strip() for line in sys.stdin))
        else:
            yield each


@click.command()
@click.argument("task_ids", nargs=-1, metavar="[TASK_ID]...|-")
@click.option("--workflow", metavar="NAME", help="Their workflow, for the outputs.")
@click.option("--metadata", metavar="JSON", help="A JSON object, for the outputs of all of them.")
def follow(task_ids: tuple[str, ...], workflow: str | None, metadata: str | None) -> None:
    """Follow tasks that were bought before tasks were followed, or elsewhere, until they end.

    Each gets an output as if a job of this queue had bought it, without a job id. It may be said again: what
    is followed already, or has ended, stays as it is.

    \b
    Examples:
      aigc task follow 6a28e8f6-3a6c-4d1b-9f0f-1c1f7c3f3a52 --workflow TEXT2IMAGE
      aigc results --status submitted --json | jq -r .taskId | aigc task follow -
    """
    wanted, told = task_ids_of(task_ids), _metadata(metadata)
    if workflow is not None and not is_name(workflow):
        raise click.UsageError(f"--workflow must be {NAME_RULE}")
    counts, ended = Counter[str](), list[str]()
    with administered() as tasks:
        followed_s = tasks.followed_s()
        for start in range(0, len(wanted), _PAGE):
            page = wanted[start : start + _PAGE]
            found = tasks.adopt(
                page, deadline_s=followed_s or _deadline_s(), workflow=workflow, metadata=told
            )
            counts.update(found)
            ended += [task_id for task_id, what in zip(page, found, strict=True) if what == "ended"]
    click.echo(f"followed from now on: {counted(counts['adopted'], 'task')}")
    if counts["open"]:
        click.echo(f"followed already: {counted(counts['open'], 'task')}")
    if ended:
        shown = ", ".join(ended[:_TOLD]) + (", …" if len(ended) > _TOLD else "")
        click.echo(plain(f"ended before: {counted(len(ended), 'task')}: {shown}"))
    if followed_s is None:
        click.echo("aigc: no worker follows tasks: start one with AIGC_FOLLOW=on", err=True)


def _metadata(text: str | None) -> dict[str, Any]:
    from tasks import InvalidPayload
    from tasks.checks import check_metadata

    if text is None:
        return {}
    try:
        found = json.loads(text)
        check_metadata(found)
    except (ValueError, InvalidPayload, RecursionError) as error:
        raise click.UsageError(f"--metadata must be a JSON object: {error}") from None
    metadata: dict[str, Any] = found
    return metadata


def _deadline_s() -> float:
    from worker.config.settings import follow_deadline_from_environ

    with settings_in_words():
        return follow_deadline_from_environ() or DEFAULT_DEADLINE_S


@click.command("list")
@click.option("--unstored", is_flag=True, help="Those that ended, and whose file could not be kept.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_command(unstored: bool, as_json: bool) -> None:
    """List the tasks that have not ended, the oldest first.

    \b
    Examples:
      aigc task list
      aigc task list --unstored --json | jq -r .taskId
    """
    import time

    with administered() as tasks:
        now, is_empty = time.time(), True
        for task in tasks.unstored() if unstored else tasks.open():
            is_empty = False
            click.echo(json.dumps(_document(task)) if as_json else plain(_line(task, now)))
    if is_empty and not as_json:
        click.echo("none")


def _document(task: ShownTask) -> dict[str, Any]:
    from tasks.times import utc_iso

    output = task.output
    return {
        "taskId": task.task_id,
        "jobId": task.job_id,
        "workflow": task.workflow,
        "version": task.version,
        "acceptedAt": None if task.accepted_s is None else utc_iso(task.accepted_s),
        "deadlineAt": None if task.deadline_s is None else utc_iso(task.deadline_s),
        "asked": task.asked,
        "vendorStatus": task.vendor_status,
        "url": output.url if output else None,
    }


def _line(task: ShownTask, now: float) -> str:
    since = "?" if task.accepted_s is None else age(max(0.0, now - task.accepted_s))
    words = [f"{task.task_id:<36}", f"{since:>8}", f"{task.vendor_status or '-':<10}", f"asked {task.asked}"]
    if task.keep_tries:
        words.append(f"its file was not kept {task.keep_tries} times")
    return "  ".join([*words, *filter(None, (task.workflow, task.job_id and f"job {task.job_id}"))])


@click.command()
@click.argument("task_ids", nargs=-1, metavar="[TASK_ID]...|-")
def forget(task_ids: tuple[str, ...]) -> None:
    """Ask no more about tasks: an open one gets no output, and the file of an ended one is given up.

    It is recorded: `aigc failed log`. Exit 1 where one of them is neither open nor waits for its file.

    \b
    Example:
      aigc task forget 6a28e8f6-3a6c-4d1b-9f0f-1c1f7c3f3a52
    """
    from worker.store.audit import note_tasks

    wanted = task_ids_of(task_ids)
    with opened() as (scripts, keys):
        from worker.store.task_admin import TaskAdmin

        tasks = TaskAdmin(scripts, keys, "")
        found = {task_id: tasks.forget(task_id) for task_id in wanted}
        done = [task_id for task_id, what in found.items() if what in ("forgotten", "given-up")]
        if done:
            note_tasks(scripts.client, keys, operator(), "forget", tasks=done[:_PAGE])
    _tell(found.items())
    if len(done) < len(found):
        raise click.exceptions.Exit(1)


_FORGOTTEN: Final = {
    "forgotten": "is asked about no more",
    "given-up": "its file is given up",
    "ended": "has ended: there is nothing to forget",
    "unknown": "is not followed",
}


def _tell(found: Iterable[tuple[str, str]]) -> None:
    for task_id, what in found:
        click.echo(plain(f"{task_id}  {_FORGOTTEN[what]}"))
