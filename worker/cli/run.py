"""`aigc worker`, `aigc sandbox`, `aigc demo`: the commands that run until they are stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from tasks.declared.current import current as declared_workflows
from worker.cli.common import settings_in_words
from worker.config.settings import Settings, from_environ, keys_from_environ
from worker.domain.query_signing import DEFAULT_FORM, FORMS, QueryForm

SANDBOX_KEYS = ("sandbox-access-key", "sandbox-secret-key")
GREEN_POOLS = ("gevent", "eventlet")


class Pool(click.Choice[str]):
    """The pools that keep the promise."""

    def __init__(self) -> None:
        super().__init__(["threads", "prefork", "solo"])

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value in GREEN_POOLS:
            self.fail(
                f"{value} is refused: a lock held across a switch of greenlets would stop the heartbeat, and"
                " a worker that works would be declared dead; use threads",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


@click.command(context_settings={"ignore_unknown_options": False})
@click.option("-n", "--name", help="Name of this worker; by default aigc-PID@HOST.")
@click.option("--pool", type=Pool(), default="threads", show_default=True, help="Celery's pool.")
@click.option("-Q", "--queues", hidden=True)
@click.argument("celery_args", nargs=-1, type=click.UNPROCESSED)
def worker(name: str | None, pool: str, queues: str | None, celery_args: tuple[str, ...]) -> None:
    """Consume jobs until SIGTERM or Ctrl-C: what is in flight is finished, the rest stays queued.

    What follows `--` is passed on to `celery worker`.

    \b
    Examples:
      AIGC_ACCESS_KEY=… AIGC_SECRET_KEY_FILE=/run/secrets/key aigc worker
      aigc worker -n night --pool prefork -- --max-tasks-per-child 10000
    """
    for arg in celery_args:
        if arg.startswith(("-P", "--pool")):
            raise click.UsageError("give --pool to aigc worker itself, before the --")
    if queues is not None:
        raise click.UsageError(f"-Q: the queue that a worker takes from is AIGC_QUEUE: AIGC_QUEUE={queues}")
    with settings_in_words():
        settings = from_environ()
    nodename = name or f"aigc-{os.getpid()}"
    run = _run_by_celerys_command if celery_args else _run
    try:
        code = run(settings, nodename if "@" in nodename else f"{nodename}@%h", pool, celery_args)
    except KeyboardInterrupt:  # before it took signals, and so before it took a job
        code = 0
    raise click.exceptions.Exit(code)


def _run(settings: Settings, nodename: str, pool: str, _: tuple[str, ...]) -> int:
    # Not by way of Celery's command: its shell and completion take 9 MB, and 0.2 s of every start.
    from celery.concurrency import get_implementation
    from celery.utils.nodenames import host_format

    from worker.app import app

    program = app.Worker(
        hostname=host_format(nodename),
        pool_cls=get_implementation(pool),
        concurrency=settings.concurrency,
        loglevel=settings.log_level,
        quiet=True,
    )
    program.start()
    return program.exitcode or 0


def _run_by_celerys_command(
    settings: Settings, nodename: str, pool: str, celery_args: tuple[str, ...]
) -> int:
    from worker.app import app

    arguments = [
        "--quiet",
        "worker",
        f"--hostname={nodename}",
        f"--pool={pool}",
        f"--concurrency={settings.concurrency}",
        f"--loglevel={settings.log_level}",
        *celery_args,
    ]
    return app.worker_main(arguments) or 0


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="0: any free one."
)
@click.option(
    "--redis",
    "redis_port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Run a Redis as well, for as long as the sandbox runs, on this port of 127.0.0.1; 0: any free one.",
)
@click.option("--access-key", help="By default AIGC_ACCESS_KEY, or else " + SANDBOX_KEYS[0] + ".")
@click.option("--secret-key", help="By default AIGC_SECRET_KEY, or else " + SANDBOX_KEYS[1] + ".")
@click.option("--fail", "rules", multiple=True, metavar="RULE", help="How to fail; may be repeated.")
@click.option(
    "--latency", "latency_ms", type=click.FloatRange(0), default=0, help="Before each answer, in ms."
)
@click.option("--jitter", "jitter_ms", type=click.FloatRange(0), default=0, help="Up to so many ms more.")
@click.option("--error-status", type=click.IntRange(200, 599), default=200, help="HTTP status of errors.")
@click.option("--clock-skew", "clock_skew_s", type=click.FloatRange(0), default=900, help="Tolerated, in s.")
@click.option("--allow-unlisted", is_flag=True, help="Accept workflows that the vendor's page does not list.")
@click.option(
    "--query-signature",
    default=str(DEFAULT_FORM),
    show_default=True,
    metavar="FORM",
    help="How a query must be signed: a form as AIGC_QUERY_SIGNATURE names it.",
)
@click.option("--seed", type=int, default=0, help="Makes RULE:P% repeatable.")
def sandbox(
    host: str,
    port: int,
    redis_port: int | None,
    access_key: str | None,
    secret_key: str | None,
    rules: tuple[str, ...],
    query_signature: str,
    **config: object,
) -> None:
    """Serve a local vendor, for tests: it checks like the real one and fails on request.

    \b
    Examples:
      aigc sandbox --port 8081
      aigc sandbox --port 8081 --redis 6379
      aigc sandbox --fail 'sys_error*2' --fail 'hang:5%' --latency 200
      aigc sandbox --query-signature get-path-hex-xid --fail 'task_running(30)' --fail 'task_fc_error:10%'
    docs/sandbox.md lists all rules.
    """
    if (access_key is None) != (secret_key is None):
        raise click.UsageError("give --access-key and --secret-key together, or neither")
    with settings_in_words():
        pair = (access_key, secret_key) if access_key and secret_key else keys_from_environ() or SANDBOX_KEYS
        config["declared"] = declared_workflows()
    config["query_form"] = _form(query_signature)
    from worker.dev.embedded import EmbeddedRedisError
    from worker.dev.sandbox import RuleError, serve
    from worker.domain.signing import Credentials

    def ready(bound: int) -> None:
        click.echo(f"the sandbox listens on http://{f'[{host}]' if ':' in host else host}:{bound}")

    try:
        with _embedded_redis(redis_port):
            serve(host, port, keys=[Credentials(*pair)], rules=rules, on_ready=ready, **config)
    except RuleError as error:
        raise click.UsageError(f"--fail: {error}") from None
    except (OSError, ValueError, EmbeddedRedisError) as error:
        raise click.ClickException(str(error)) from None


def _form(name: str) -> QueryForm:
    for form in FORMS:
        if str(form) == name.lower():
            return form
    raise click.UsageError(f"--query-signature: {name!r} is none of {', '.join(map(str, FORMS))}")


@contextmanager
def _embedded_redis(port: int | None) -> Iterator[None]:
    """A Redis for as long as the block runs, and its URL on standard output; none where no port is given."""
    if port is None:
        yield
        return
    from worker.dev.embedded import EmbeddedRedis

    with EmbeddedRedis(port) as server:
        click.echo(f"its Redis is {server.url}; its data is gone when this ends")
        yield


@click.command()
def demo() -> None:
    """Run it all on this machine: a Redis, the sandbox vendor, a worker and four jobs.

    Needs no setting. Only the finished files are left, in a temporary folder that it names.

    \b
    Example:
      aigc demo
    """
    from worker.dev.demo import run

    raise click.exceptions.Exit(run())
