"""`aigc cancel`: no attempt is made any more of jobs, of a batch, or of a workflow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from worker.cli.common import broker_in_words, counted
from worker.cli.store import operator, plain

if TYPE_CHECKING:
    from tasks.cancel_many import Cancelled


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option("--batch", metavar="NAME", help="All jobs that are in this batch now.")
@click.option("--workflow", metavar="NAME", help="All jobs of this workflow that are queued now.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def cancel(jobs: tuple[str, ...], batch: str | None, workflow: str | None, as_json: bool) -> None:
    """Cancel jobs by id, or all of a batch or a workflow; their result is cancelled.

    What was sent already is not cancelled, and is counted. What is being sent is not either; of a batch or a
    workflow it is not tried again. What is queued afterwards is not concerned. The results come as workers
    meet the jobs: soon for those that wait for a retry or an ETA, the others in their turn.

    An id of which nothing is known, and that no message in the queue has, is said to be unknown: it may be
    misspelt. Should it come within a week it is cancelled.

    Exit 1 where a job that was named is unknown, or too late to cancel, or no job is known of the batch.

    \b
    Examples:
      aigc cancel 5f0c6a
      aigc cancel --batch nightly-2026-11-22
      aigc cancel --workflow IMAGE2VIDEO --json
    """
    if sum((bool(jobs), batch is not None, workflow is not None)) != 1:
        raise click.UsageError("say what: jobs by id, --batch or --workflow, one of them")
    _check_names(jobs, batch, workflow)
    with broker_in_words():
        done = _cancel(jobs, batch, workflow)
    if as_json:
        told = {"cancelled": done.cancelled, "inFlight": done.in_flight, "bought": done.bought}
        click.echo(json.dumps(told | {"unread": done.unread, "unknown": done.unknown}))
    else:
        click.echo(plain("\n".join(_lines(done, named=bool(jobs)))))
    if jobs and done.in_flight + done.bought + done.unknown:
        raise click.exceptions.Exit(1)
    if batch is not None and not done.cancelled + done.in_flight + done.bought + done.unread:
        _check_batch_is_known(batch)


def _check_batch_is_known(batch: str) -> None:
    """Raises click.ClickException where no job was ever seen in it: its name may be misspelt."""
    from tasks import batches

    with broker_in_words():
        try:
            batches.progress(batch)
        except batches.NoSuchBatch as error:
            raise click.ClickException(plain(str(error))) from None


def _check_names(jobs: tuple[str, ...], batch: str | None, workflow: str | None) -> None:
    from tasks import InvalidPayload
    from tasks.checks import NAME_RULE, check_batch, check_job_id, is_name

    if workflow is not None and not is_name(workflow):
        raise click.UsageError(f"--workflow must be {NAME_RULE}")
    try:
        for job in jobs:
            check_job_id(job)
        if batch is not None:
            check_batch(batch)
    except InvalidPayload as error:
        raise click.UsageError(str(error)) from None


def _cancel(jobs: tuple[str, ...], batch: str | None, workflow: str | None) -> Cancelled:
    from tasks import broker
    from tasks.cancel_many import cancel_batch, cancel_jobs, cancel_workflow
    from tasks.clients import reported
    from worker.store.audit import note_cancel
    from worker.store.keys import KeyNames

    settings, client = broker.settings(), broker.redis_client()
    keys = KeyNames(settings.queue, settings.results)
    with reported(keys.cancels):
        if batch is not None:
            done = cancel_batch(client, settings.queue, batch)
        elif workflow is not None:
            done = cancel_workflow(client, settings.queue, workflow)
        else:
            done = cancel_jobs(client, settings.queue, jobs)
        about: dict[str, Any] = {"batch": batch, "workflow": workflow, "jobs": done.cancelled}
        note_cancel(client, keys, operator(), **about)
    return done


def _lines(done: Cancelled, *, named: bool) -> list[str]:
    lines = [f"cancelled: {counted(done.cancelled, 'job')}"]
    if done.in_flight:
        rest = "" if named else "; they are not tried again"
        lines.append(f"being sent, so not cancelled: {done.in_flight:,}{rest}")
    if done.bought:
        lines.append(f"sent already, so not cancelled: {done.bought:,}")
    if done.unknown:
        words = "cancelled should it come within a week"
        lines.append(f"unknown, and not in the queue: {done.unknown:,}; {words}")
    if done.unread:
        lines.append(f"not looked into: {done.unread:,} messages that cannot be read from here")
    return lines
