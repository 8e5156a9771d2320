"""`aigc task fetch`: ask for a fresh link to a task's file, and keep it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from tasks.times import utc_iso
from worker.cli.common import counted, settings_in_words
from worker.cli.store import plain
from worker.cli.task_follow import administered, task_ids_of
from worker.domain.query import SUCCESS

if TYPE_CHECKING:
    from tasks.output import Output
    from worker.config.settings import Settings
    from worker.keeping import Keeper, Kept
    from worker.store.task_admin import ShownTask, TaskAdmin
    from worker.vendor import QueryClient


class _NotFetched(Exception):
    """Why, in words."""


@click.command()
@click.argument("task_ids", nargs=-1, metavar="[TASK_ID]...|-")
@click.option("--all", "everything", is_flag=True, help="All whose file could not be kept.")
def fetch(task_ids: tuple[str, ...], everything: bool) -> None:
    """Ask the vendor for a fresh link to tasks' files, and keep them where AIGC_STORE_URL says.

    A task that has ended without its file, or was lost, gets its output again, once, with the file in it. One
    that has its file, or is not known here, is fetched and no message is published.

    Exit 1 where a file was not kept.

    \b
    Examples:
      aigc task fetch --all
      aigc task fetch 6a28e8f6-3a6c-4d1b-9f0f-1c1f7c3f3a52
    """
    if bool(task_ids) == everything:
        raise click.UsageError("say which tasks: by id, or --all")
    settings, keeper = _settings()
    failed = 0
    with administered() as tasks, _client(settings) as client:
        wanted = [task.task_id for task in tasks.unstored()] if everything else task_ids_of(task_ids)
        for number, task_id in enumerate(wanted):
            if number:
                time.sleep(1 / settings.follow.query_rate_per_s if settings.follow else 0.1)
            try:
                click.echo(plain(f"{task_id}  {_fetch(tasks, client, keeper, task_id)}"))
            except _NotFetched as error:
                failed += 1
                click.echo(plain(f"{task_id}  not kept: {error}"))
    if everything and not wanted:
        click.echo("no file is missing")
    if failed:
        raise click.ClickException(f"{counted(failed, 'file')} of {len(wanted)} not kept")


def _settings() -> tuple[Settings, Keeper]:
    from worker.config.settings import from_environ
    from worker.from_settings import keeper_of

    with settings_in_words():
        settings = from_environ()
        keeper = keeper_of(settings)
    if keeper is None:
        raise click.ClickException("AIGC_STORE_URL must be set: it says where files are kept")
    return settings, keeper


@contextmanager
def _client(settings: Settings) -> Iterator[QueryClient]:
    from worker.from_settings import query_client_of

    client = query_client_of(settings)
    try:
        yield client
    finally:
        client.close()


def _fetch(tasks: TaskAdmin, client: QueryClient, keeper: Keeper, task_id: str) -> str:
    """Keep the file of one task; what was done, in words. Raises _NotFetched."""
    if tasks.is_open(task_id):
        raise _NotFetched("it is followed still, and gets its file with its output")
    known = tasks.shown(task_id)
    before = known.output if known else None
    if known and known.output_json and before is None:
        raise _NotFetched("only a later version of this program can read its output, and keep its file")
    url, now = _link(client, task_id, before), utc_iso()
    kept = _kept(keeper, url, task_id, before, now)
    if known is None or before is None or known.output_json is None:
        return f"{kept.file} (not known here: no message is published)"
    if before.file is not None:
        tasks.settle_amendment(task_id, known.output_json)
        return f"{kept.file} (kept before: no message is published)"
    return _published(tasks, known, known.output_json, _with_file(before, url, kept, now))


def _link(client: QueryClient, task_id: str, before: Output | None) -> str:
    """A fresh link to the task's file, or else the one that its output has."""
    from worker.cli.query_form import in_words
    from worker.domain.query import Failed, Pending, Succeeded

    outcome = client.ask(task_id)
    if isinstance(outcome, Succeeded):
        return outcome.url
    if before is None or before.url is None or isinstance(outcome, Failed | Pending):
        raise _NotFetched(in_words(outcome))
    return before.url


def _kept(keeper: Keeper, url: str, task_id: str, before: Output | None, now: str) -> Kept:
    from worker.keeping import Finished, NotKept

    finished = Finished(
        task_id=task_id,
        job_id=before.job_id if before else None,
        workflow=before.workflow if before else None,
        version=before.version if before else None,
        metadata=before.metadata if before else {},
        # The day in its name is that of its end, whenever it is fetched.
        finished_at=before.finished_at if before and before.status == "succeeded" else now,
    )
    kept = keeper.keep(url, finished)
    if isinstance(kept, NotKept):
        raise _NotFetched(kept.reason)
    return kept


def _with_file(before: Output, url: str, kept: Kept, now: str) -> Output:
    return dataclasses.replace(
        before,
        status="succeeded",
        vendor_status=SUCCESS,
        url=url,
        file=kept.file,
        sha256=kept.sha256,
        bytes=kept.bytes,
        content_type=kept.content_type,
        finished_at=before.finished_at if before.status == "succeeded" else now,
    )


def _published(tasks: TaskAdmin, known: ShownTask, before_json: str, after: Output) -> str:
    match tasks.amend(known.task_id, before_json, after):
        case "amended":
            return f"{after.file}"
        case "already":
            return f"{after.file} (its output says so already)"
    raise _NotFetched(f"another command has changed it meanwhile: see aigc task {known.task_id}")
