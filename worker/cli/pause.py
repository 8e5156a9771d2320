"""`aigc pause` and `aigc resume`: hold all workers, for one workflow or for all."""

from __future__ import annotations

import click

from worker.cli.store import opened, operator, plain

_WORKFLOW = click.option("--workflow", metavar="NAME", help="Only this workflow; else all.")


@click.command()
@_WORKFLOW
def pause(workflow: str | None) -> None:
    """Let all workers pause: what is in flight is finished, the rest stays queued.

    \b
    Example:
      aigc pause --workflow IMAGE2VIDEO
    """
    with opened() as (scripts, keys):
        from worker.store import audit
        from worker.store.workflows import of_pauses, unseen

        audit.pause(scripts.client, keys, workflow, operator())
        lines = of_pauses(unseen(scripts.client, keys, [workflow] if workflow else []))
    click.echo(f"{workflow or 'everything'} is paused")
    for line in lines:
        click.echo(plain(f"aigc: {line}"), err=True)


@click.command()
@_WORKFLOW
def resume(workflow: str | None) -> None:
    """End a pause, of all or of one workflow; each is ended by itself.

    \b
    Example:
      aigc resume --workflow IMAGE2VIDEO
    """
    with opened() as (scripts, keys):
        from worker.store import audit

        was_paused, left = audit.resume(scripts.client, keys, workflow, operator())
    paused = ["everything" if name == audit.EVERYTHING else name for name in left]
    if was_paused:
        told = f"{workflow or 'everything'} goes on"
    else:
        told = f"{workflow} was not paused" if workflow else "there was no pause of everything"
    click.echo(plain(told + (f"; still paused: {', '.join(paused)}" if left else "")))
