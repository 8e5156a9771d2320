"""`aigc purge`: all that a queue has in Redis, gone."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from worker.cli.common import counted
from worker.cli.store import confirm, opened

if TYPE_CHECKING:
    from worker.store.keys import KeyNames
    from worker.store.purge import Purge


@click.command()
@click.option("--keep-results", is_flag=True, help="Leave the streams of results and outputs.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(keep_results: bool, yes: bool) -> None:
    """Delete all keys of the queue: jobs that wait, failed ones, records, open tasks, results, outputs.

    There is no way back. It counts and asks. With the records goes the knowledge which jobs were bought: one
    that is queued again under its id is bought again, and of one that is unknown nobody will learn its
    request ids any more. Stop the workers and the producers first; while a worker is alive nothing is
    deleted.

    \b
    Examples:
      AIGC_QUEUE=staging aigc purge
      aigc purge --keep-results --yes
    """
    with opened() as (scripts, keys):
        from tasks.settings import broker_from_environ
        from worker.store.purge import plan
        from worker.store.stats import stats

        client = scripts.client
        _no_worker(client, keys)
        keys = dataclasses.replace(keys, outputs=broker_from_environ().outputs)
        found = plan(client, keys, results=not keep_results)
        if not found.found:
            click.echo(f"purge: the queue {keys.queue} has nothing in Redis")
            return
        results = 0 if keep_results else client.xlen(keys.results)
        state = stats(scripts, keys)
        jobs, open_tasks = state["jobs"], state["following"]["open"]
        click.echo("\n".join(_counted(_place(client), keys, found, jobs, results, open_tasks)), err=True)
        confirm(yes)
        _no_worker(client, keys)
        deleted = found.run(client)
    click.echo(f"purge: {counted(deleted, 'key')} of the queue {keys.queue} deleted")


def _no_worker(client: Any, keys: KeyNames) -> None:
    from worker.store.purge import living

    if count := living(client, keys):
        raise click.ClickException(
            f"{counted(count, 'worker is', 'workers are')} alive, or until 20 s ago: stop them first, for"
            " what they hold would come back"
        )


def _place(client: Any) -> str:
    """Host, port and number of the Redis."""
    place = client.connection_pool.connection_kwargs
    return f"{place.get('host', '?')}:{place.get('port', '?')}/{place.get('db') or 0}"


def _counted(
    place: str, keys: KeyNames, found: Purge, jobs: dict[str, Any], results: int, open_tasks: int
) -> list[str]:
    queued = sum(line["jobs_about"] for line in jobs["queued"].values()) + sum(jobs["sidings"].values())
    under_way = jobs["waiting"] + jobs["sending"]
    lines = [
        f"purge all of the queue {keys.queue} at {place}: {counted(len(found.found), 'key')}",
        f"  about {counted(queued, 'job')} queued, {under_way:,} under way,"
        f" {counted(jobs['in_hand_messages'], 'message')} in hand",
        f"  {jobs['exhausted']:,} exhausted, {jobs['rejected']:,} rejected,"
        f" {counted(jobs['malformed_messages'], 'malformed message')}",
        f"  {counted(found.records, 'record')} of jobs, {counted(results, 'result')}",
    ]
    if open_tasks:
        lines.append(f"  {counted(open_tasks, 'open task')}, which will have no output")
    if jobs["unknown"]:
        lines.append(f"  {jobs['unknown']:,} unknown, which may have been bought: decide about them first")
    return lines
