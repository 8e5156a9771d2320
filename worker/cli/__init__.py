"""The command line, `aigc`: exit 0 on success, 1 on a failure it reports, 2 on bad usage.

Each command imports what it needs when it runs, so that `aigc --help` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from worker.cli.batch import batch
from worker.cli.cancel import cancel
from worker.cli.check import check
from worker.cli.common import CHECK_PAYLOADS, know_workflows_first
from worker.cli.decide import accept, discard, retry
from worker.cli.doctor import doctor
from worker.cli.events import events
from worker.cli.extras import NEEDS, guard, missing
from worker.cli.failed import failed
from worker.cli.forward import forward
from worker.cli.forward_replay import replay
from worker.cli.forwards import failed as forward_failed
from worker.cli.forwards import forget as forward_forget
from worker.cli.forwards import status as forward_status
from worker.cli.health import health
from worker.cli.map import map_command
from worker.cli.output import NO_ROOM, give_up, open_what_is_closed
from worker.cli.outputs import outputs
from worker.cli.pause import pause, resume
from worker.cli.purge import purge
from worker.cli.results import results
from worker.cli.run import demo, sandbox, worker
from worker.cli.status import status
from worker.cli.submit import submit
from worker.cli.task import task
from worker.cli.task_fetch import fetch
from worker.cli.task_follow import follow, forget, list_command
from worker.cli.top import top
from worker.cli.ui import ui
from worker.cli.workflows import schema, workflows

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="aigc-worker", message="%(package)s %(version)s")
def cli() -> None:
    """Submit AIGC workflows to the vendor, once each, and learn how they ended.

    The settings are environment variables; see docs/settings.md.
    """


for command in (
    demo, worker, submit, map_command, events, check, batch, cancel, workflows, schema, results,
    task, outputs, forward, failed, status, top, ui, pause, resume, doctor, sandbox, health, purge,
):  # fmt: skip
    cli.add_command(command)
for command in (retry, accept, discard):
    failed.add_command(command)
for command in (forward_status, forward_failed, replay, forward_forget):
    forward.add_command(command)
for command in (follow, list_command, forget, fetch):
    task.add_command(command)
for name in CHECK_PAYLOADS:
    know_workflows_first(cli.commands[name])
for name, extras in NEEDS.items():
    guard(cli.commands[name], extras)


def main() -> None:
    """Entry point of the script `aigc`."""
    open_what_is_closed()
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run one command line; gives its exit code."""
    try:
        code = cli.main(list(args), prog_name="aigc", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        if error.ctx is not None:
            click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"aigc: {error.format_message()}", err=True)
        return error.exit_code
    except click.ClickException as error:
        for line in error.format_message().splitlines():
            click.echo(f"aigc: {line}", err=True)
        return error.exit_code
    except ModuleNotFoundError as error:
        words = missing(error.name or "")
        if words is None:
            raise
        click.echo(f"aigc: {words}", err=True)
        return 1
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        give_up()
        where = f" to {error.filename}" if error.filename else ""
        click.echo(f"aigc: cannot write{where}: {error.strerror}", err=True)
        return 1
    return code if isinstance(code, int) else 0
