"""`aigc events`: webhooks of shops in, jobs out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worker.cli.common import broker_in_words, counted, settings_in_words

if TYPE_CHECKING:
    from worker.services.events.config import Config, Source


@click.command()
@click.option(
    "--config", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="EVENTS.toml: sources, their secrets, the mapping.",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8091, show_default=True, help="0: any free one."
)
@click.option("--check", is_flag=True, help="Look at the configuration only; exit 1 if it cannot be right.")
@click.option("--problems", is_flag=True, help="Show what products made no job, the last 1,000, as NDJSON.")
def events(path: Path | None, host: str, port: int, check: bool, problems: bool) -> None:
    """Take product events of shops as webhooks, and queue the jobs that a mapping makes of them.

    What is answered with 200 is safe in Redis. Serves until SIGTERM or Ctrl-C.

    \b
    Examples:
      aigc events --config EVENTS.toml --check
      aigc events --config EVENTS.toml
      aigc events --problems
    """
    if problems:
        _show_problems()
        return
    if path is None:
        raise click.UsageError("give --config EVENTS.toml")
    config = _loaded(path)
    if check:
        for line in config.warnings:
            click.echo(f"aigc: {line}", err=True)
        click.echo("\n".join(map(_in_words, config.sources)))
        return
    _serve(config, host, port)


def _in_words(source: Source) -> str:
    secrets = counted(len(source.secrets.paths), "secret")
    jobs = ", ".join(rule.name for rule in source.maps.rules)
    return f"/{source.path}: {source.name}, {secrets}; makes of a product: {jobs}"


def _loaded(path: Path) -> Config:
    from worker.services.events.config import load
    from worker.services.events.tables import ConfigError

    try:
        return load(path)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


def _serve(config: Config, host: str, port: int) -> None:
    from worker import observability
    from worker.config.settings import service_from_environ
    from worker.services.events.server import serve

    with settings_in_words():
        settings = service_from_environ(secrets=config.secrets(), warnings=config.warnings)
    observability.setup(settings)

    def ready(bound: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        paths = ", ".join(f"/{source.path}" for source in config.sources)
        click.echo(f"events are taken at http://{shown}:{bound} ({paths})")

    try:
        serve(config, settings, host, port, ready)
    except OSError as error:
        raise click.ClickException(str(error)) from None


def _show_problems() -> None:
    from tasks import broker
    from tasks.clients import reported
    from worker.store.keys import KeyNames

    with broker_in_words():
        settings = broker.settings()
        key = KeyNames(settings.queue, settings.results).event_problems
        with reported(key):
            lines: list[Any] = broker.redis_client().lrange(key, 0, -1)
        for line in reversed(lines):
            click.echo(line.decode("utf-8", "replace"))
        if not lines:
            click.echo("aigc: no problems: no product was found wrong", err=True)
