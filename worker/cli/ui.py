"""`aigc ui`: the operators' page, and metrics."""

from __future__ import annotations

import click

from worker.cli.common import settings_in_words


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Another one needs AIGC_UI_TOKEN.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="0: any free one."
)
@click.option("--read-only", is_flag=True, help="Show everything, and let nobody decide anything.")
def ui(host: str, port: int, read_only: bool) -> None:
    """Serve the operators' page, metrics for Prometheus, and what `aigc status --json` has.

    The page (/) shows the queue, its workers, what they cost, and jobs that did not end well, about which it
    lets you decide as `aigc failed` does. Programs read /metrics and /api/status; /healthz says whether
    the service and its Redis are there. All workers' together, out of Redis: one such process is enough.

    With AIGC_UI_TOKEN everybody has to have it: on the login page, or as `Authorization: Bearer TOKEN`.
    Serves until SIGTERM or Ctrl-C.

    \b
    Examples:
      aigc ui
      aigc ui --read-only --port 8091
      AIGC_UI_TOKEN_FILE=/run/secrets/ui aigc ui --host 0.0.0.0
    """
    from tasks.checks import is_loopback
    from worker import observability
    from worker.config.settings import (
        deciding_from_environ,
        fetch_allow_from_environ,
        service_from_environ,
        ui_token_from_environ,
    )
    from worker.services.ui.context import Access
    from worker.services.ui.server import PageSettings, serve

    with settings_in_words():
        token = ui_token_from_environ(must=not is_loopback(host))
        page = PageSettings(Access(token, read_only), deciding_from_environ(), fetch_allow_from_environ())
        settings = service_from_environ(secrets=(token,) if token else (), warnings=())
    observability.setup(settings)

    def ready(bound: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"the page is at http://{shown}:{bound}/, metrics are at http://{shown}:{bound}/metrics")

    try:
        serve(settings, page, host, port, ready)
    except OSError as error:
        raise click.ClickException(str(error)) from None
