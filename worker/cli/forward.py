"""`aigc forward`: results and outputs out, as signed webhooks."""

from __future__ import annotations

import click

from worker.cli.common import settings_in_words
from worker.cli.extras import require


@click.group(invoke_without_command=True)
@click.option("--to", "url", metavar="URL", help="The endpoint: https://…, or http:// at a loopback address.")
@click.option("--outputs", is_flag=True, help="Outputs as well as results.")
@click.option(
    "--name", default="", metavar="NAME", help="What the endpoint is called in Redis; made of the URL."
)
@click.option(
    "--concurrency", type=click.IntRange(1, 128), default=8, show_default=True, help="Attempts in flight."
)
@click.option(
    "--from-start/--from-now", default=True, show_default=True,
    help="A new endpoint gets what the streams hold already, or only what comes.",
)  # fmt: skip
@click.option(
    "--once", is_flag=True, help="Send what there is, and end; exit 1 if the endpoint did not take all."
)
@click.option("--again", is_flag=True, help="Begin again with an endpoint that answered HTTP 410.")
@click.pass_context
def forward(
    ctx: click.Context,
    url: str | None,
    outputs: bool,
    name: str,
    concurrency: int,
    from_start: bool,
    once: bool,
    again: bool,
) -> None:
    """Send each result, and with --outputs each output, to an endpoint as a signed webhook.

    The headers are those of Standard Webhooks, signed with AIGC_FORWARD_SECRET. At least once, under an id
    that is always the same, each job's in order, for a day. Runs until SIGTERM or Ctrl-C, or until the
    endpoint answers HTTP 410. Several for one URL stand by for each other.

    \b
    Examples:
      aigc forward --to https://shop.example/hooks/aigc --outputs
      aigc forward status
      aigc forward replay --since 2h
    """
    if ctx.invoked_subcommand is not None:
        return
    require("forward")
    if not url:
        raise click.UsageError("give --to URL")
    run(
        url,
        outputs=outputs,
        name=name,
        concurrency=concurrency,
        from_start=from_start,
        once=once,
        again=again,
    )


def run(
    url: str,
    *,
    outputs: bool,
    name: str,
    once: bool,
    concurrency: int = 8,
    from_start: bool = True,
    again: bool = False,
) -> None:
    """Forward; the arguments are the options of `aigc forward`."""
    from worker import observability
    from worker.config.settings import (
        foreign_environ,
        forward_secrets_from_environ,
        service_from_environ,
    )
    from worker.observability import traces
    from worker.services.forward.endpoint import endpoint_of
    from worker.services.forward.service import Order
    from worker.services.forward.service import forward as forward_to

    try:
        endpoint = endpoint_of(url, name)
    except ValueError as error:
        raise click.UsageError(f"--to, --name: {error}") from None
    with settings_in_words():
        secrets = forward_secrets_from_environ()
        settings = service_from_environ(secrets=(*secrets, *endpoint.secrets()), warnings=())
    observability.setup(settings)
    traces.start(foreign_environ())
    what = "results and outputs" if outputs else "results"

    def ready() -> None:
        click.echo(f"{what} are forwarded to {endpoint.shown} ({endpoint.name})")

    order = Order(endpoint, secrets, outputs, concurrency, from_start, again, once)
    try:
        ending, left = forward_to(order, settings, ready)
    except ValueError as error:  # the environment's proxy or CA bundle
        raise click.ClickException(str(error)) from None
    if words := _fault(ending, left if once else 0):
        raise click.ClickException(f"{endpoint.shown} {words}")


def _fault(ending: str, left: int) -> str:
    """Why it ended, where that was no success."""
    if ending == "gone":
        return "answered HTTP 410, that it wants no more webhooks; to send it some all the same: --again"
    if ending == "busy":
        return "is being forwarded to by another process"
    return f"did not take {left} messages; they wait for the next aigc forward" if left else ""
