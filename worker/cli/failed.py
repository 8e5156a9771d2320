"""`aigc failed`: jobs that did not end well, looked at. What is done about them: `worker.cli.decide`."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from worker.cli.malformed import list_malformed, show_malformed
from worker.cli.result_table import ResultTable
from worker.cli.store import MomentOrAge, emit, opened, plain
from worker.cli.tables import Column, Table

if TYPE_CHECKING:
    from tasks import Result
    from worker.store.dead_letters import DeadLetterFilter, DeadLetters

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

STATES: Final = ("unknown", "exhausted", "rejected")
_PAGE: Final = 200


@click.group()
def failed() -> None:
    """Jobs that did not end well: look at them, and decide what becomes of them.

    \b
    unknown    held: an attempt left this machine, and the vendor may have accepted it
    exhausted  retries or the deadline ran out, and nothing was accepted
    rejected   the job itself is bad

    \b
    Examples:
      aigc failed list --status unknown
      aigc failed retry --status exhausted --since 4h --rate 5
    """


def filters(command: Command) -> Command:
    """The options that choose jobs; see `wanted`."""
    options = (
        click.option("--status", "states", multiple=True, type=click.Choice(STATES), help="May be repeated."),
        click.option("--workflow", metavar="NAME", help="Of this workflow."),
        click.option("--code", metavar="CODE", help="With this errorCode."),
        click.option("--since", type=MomentOrAge(), help="Ended since: 2h, 7d, 2026-11-22T08:00Z."),
        click.option("--older-than", type=MomentOrAge(), help="Ended before: 2h, 7d, 2026-11-22T08:00Z."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def wanted(
    states: tuple[Any, ...], workflow: str | None, code: str | None, since: float | None, older: float | None
) -> DeadLetterFilter:
    """The filters as the store has them."""
    from worker.store.dead_letters import DeadLetterFilter

    return DeadLetterFilter(
        tuple(state for state in STATES if state in states) or STATES,
        workflow,
        code,
        -math.inf if since is None else since,
        math.inf if older is None else older,
    )


def pages(items: Iterable[T], size: int = _PAGE) -> Iterator[list[T]]:
    """Lists of so many items, the last one perhaps shorter."""
    iterator = iter(items)
    while page := list(islice(iterator, size)):
        yield page


@failed.command(name="list")
@filters
@click.option("--job", "jobs", multiple=True, metavar="JOB", help="Only this job; may be repeated.")
@click.option("--malformed", is_flag=True, help="Messages that no worker could read, instead.")
def list_(
    states: tuple[str, ...],
    workflow: str | None,
    code: str | None,
    since: float | None,
    older_than: float | None,
    jobs: tuple[str, ...],
    malformed: bool,
) -> None:
    """List jobs: a table on a terminal, elsewhere JSON lines (the result, and all request ids).

    A malformed message goes by a NAME, which show, retry and discard take with --malformed.

    \b
    Examples:
      aigc failed list --status unknown --since 2h
      aigc failed list --code INTCNN_COMMON_SYS_ERROR | jq -r .jobId
    """
    if malformed:
        list_malformed()
        return
    with opened() as (scripts, keys):
        from worker.store.dead_letters import DeadLetters

        dead_letters = DeadLetters(scripts, keys)
        want = wanted(states, workflow, code, since, older_than)
        filtered = bool(jobs) or want != wanted((), None, None, None, None)
        table = ResultTable()
        for page in pages(found(dead_letters, want, jobs)):
            for result, ids in zip(page, dead_letters.request_ids([r.job_id for r in page]), strict=True):
                if table.on_terminal:
                    table.add(result)
                else:
                    emit({**json.loads(result.to_json()), "requestIds": ids})
        table.end("no such job: none that failed passes the filters" if filtered else "no job that failed")


def found(dead_letters: DeadLetters, want: DeadLetterFilter, jobs: tuple[str, ...]) -> Iterator[Result]:
    """The wanted jobs; of those that are named only they, none where it is no dead letter."""
    if not jobs:
        yield from dead_letters.find(want)
        return
    for job_id in jobs:
        result = dead_letters.get(job_id)
        if result is not None and result.status in want.states and want.has(result):
            yield result


@failed.command()
@click.argument("job")
@click.option("--payload", is_flag=True, help="Show the payload, prompt and all.")
@click.option("--malformed", is_flag=True, help="Print the malformed message of this name, to mend it.")
def show(job: str, payload: bool, malformed: bool) -> None:
    """All that is known of JOB, whether it failed or not: for you, and for the vendor's support.

    `status` is what results say of how the job ended, null while it has not. `answer` is what the vendor
    said where that leaves it open whether the job was bought: at most 500 characters, redacted. If it names
    a task, `aigc failed accept` settles the job with that id.
    """
    if malformed:
        show_malformed(job)
        return
    with opened() as (scripts, keys):
        from worker.store.dead_letters import DeadLetters
        from worker.store.job_details import job_details

        document = job_details(DeadLetters(scripts, keys), job, payload=payload)
    if document is None:
        raise click.ClickException(f"there is no record of the job {job!r}")
    answer = document.get("answer")
    told = json.dumps(document, indent=2, ensure_ascii=False)
    emit(document, f"{told}\nanswer: {answer}" if answer else told)
    if answer and document.get("state") == "unknown":
        click.echo(_advice(job, answer), err=True)


def _advice(job: str, answer: str) -> str:
    """What to do with an answer that leaves a held job's fate open."""
    from worker.domain.envelope import task_id_in

    task_id, named = task_id_in(answer), shlex.quote(job)
    if task_id is None:
        return f"If the answer names a task, settle the job: aigc failed accept TASK_ID --job {named}"
    return (
        f"The answer seems to name the task {plain(task_id)}. If that is so, settle the job:"
        f" aigc failed accept {shlex.quote(plain(task_id))} --job {named}"
    )


@failed.command()
def log() -> None:
    """What operators decided: who, when, what; oldest first."""
    with opened() as (scripts, keys):
        from worker.store.audit import history

        table = Table(Column("AT (UTC)", 24), Column("WHO", 20), Column("WHAT", 8))
        for told in history(scripts.client, keys):
            if table.on_terminal:
                at, who, what, *about = told.items()
                table.row(at[1], who[1], what[1], rest=", ".join(f"{name} {value}" for name, value in about))
            else:
                emit(told)
        table.end("nothing was decided yet")
