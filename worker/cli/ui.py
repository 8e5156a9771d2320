"""`aigc ui`: how the queue stands, over HTTP."""

from __future__ import annotations

import click

from worker.cli.common import settings_in_words


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Another one needs AIGC_UI_TOKEN.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="0: any free one."
)
def ui(host: str, port: int) -> None:
    """Serve metrics for Prometheus (/metrics), and what `aigc status --json` has (/api/status).

    All workers' together, out of Redis: one such process is enough, wherever it runs. /healthz says whether
    it and its Redis are there. With AIGC_UI_TOKEN each request but that must bring it, as
    `Authorization: Bearer TOKEN`. Serves until SIGTERM or Ctrl-C.

    \b
    Examples:
      aigc ui
      AIGC_UI_TOKEN_FILE=/run/secrets/ui aigc ui --host 0.0.0.0
    """
    from tasks.checks import is_loopback
    from worker import observability
    from worker.config.settings import service_from_environ, ui_token_from_environ
    from worker.services.ui.server import serve

    with settings_in_words():
        token = ui_token_from_environ(must=not is_loopback(host))
        settings = service_from_environ(secrets=(token,) if token else (), warnings=())
    observability.setup(settings)

    def ready(bound: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"metrics are at http://{shown}:{bound}/metrics, the status at /api/status")

    try:
        serve(settings, token, host, port, ready)
    except OSError as error:
        raise click.ClickException(str(error)) from None
