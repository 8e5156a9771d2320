"""`aigc check`: pictures, by the image preflight alone; nothing is queued and no Redis is needed."""

from __future__ import annotations

from pathlib import Path

import click

from worker.cli.common import settings_in_words


@click.command()
@click.argument("given", nargs=-1, required=True, metavar="FILE|URL…")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def check(given: tuple[str, ...], as_json: bool) -> None:
    """Look at pictures as a worker does before it sends a job (AIGC_PREFLIGHT); nothing is queued.

    Each argument is the URL of a picture, a picture on this machine, a file of jobs as aigc submit takes it
    (the pictures of its jobs are looked at), or a text file with a URL on each line. Of a URL no more is
    fetched than is needed, from public addresses only and from those in AIGC_FETCH_ALLOW.

    Says of each picture ok, WRONG with what it must be, or unsure where its host did not answer. Exit 1
    unless all are ok.

    \b
    Examples:
      aigc check https://shop.example.com/shirt.jpg
      aigc check --json jobs.ndjson
      aigc check photos/*.jpg
    """
    from worker.cli.pictures import findings, is_url
    from worker.cli.tables import safe

    for each in given:
        if not is_url(each) and not Path(each).is_file():
            raise click.UsageError(f"{each}: must be a URL, or a file that is there")
    wrong = 0
    with settings_in_words():
        for found in findings(given):
            click.echo(found.as_json() if as_json else safe(found.as_text()))
            wrong += found.certain is not None
    if wrong:
        raise click.exceptions.Exit(1)
