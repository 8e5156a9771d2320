"""`aigc pause` and `aigc resume`: hold all workers, for one workflow or for all."""

from __future__ import annotations

import click

from worker.cli.store import opened, operator, plain

_FOR_ALL = "leave it out for all of them"

_WORKFLOW = click.option("--workflow", metavar="NAME", help="Only this workflow; else all.")


@click.command()
@_WORKFLOW
def pause(workflow: str | None) -> None:
    """Let all workers pause: what is in flight is finished, the rest stays queued.

    \b
    Example:
      aigc pause --workflow IMAGE2VIDEO
    """
    from tasks.checks import NAME_RULE, is_name
    from worker.store.audit import EVERYTHING

    if workflow is not None and (not is_name(workflow) or workflow == EVERYTHING):
        raise click.UsageError(f"--workflow must be {NAME_RULE}, not {EVERYTHING}: {_FOR_ALL}")
    with opened() as (scripts, keys):
        from worker.store import decisions

        told, doubts = decisions.pause(scripts.client, keys, workflow, operator())
    click.echo(told)
    for line in doubts:
        click.echo(plain(f"aigc: {line}"), err=True)


@click.command()
@_WORKFLOW
def resume(workflow: str | None) -> None:
    """End a pause, of all or of one workflow; each is ended by itself.

    \b
    Example:
      aigc resume --workflow IMAGE2VIDEO
    """
    from worker.store.audit import EVERYTHING

    if workflow in ("", EVERYTHING):  # any other name: an earlier version may have paused it
        raise click.UsageError(f"--workflow must be a name, not {EVERYTHING}: {_FOR_ALL}")
    with opened() as (scripts, keys):
        from worker.store import decisions

        told = decisions.resume(scripts.client, keys, workflow, operator())
    click.echo(plain(told))
