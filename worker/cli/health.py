"""`aigc health`: for a container's health check."""

from __future__ import annotations

import click

from worker.cli.common import settings_in_words


@click.command()
def health() -> None:
    """Say whether this machine's worker consumes; exit 1 where it does not.

    \b
    Example, in a Dockerfile:
      HEALTHCHECK CMD ["aigc", "health"]
    """
    from worker.cli.health_check import check

    with settings_in_words():
        healthy, words = check()
    if not healthy:
        raise click.ClickException(words)
    click.echo(words)
