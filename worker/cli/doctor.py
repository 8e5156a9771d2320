"""`aigc doctor`: whether this machine's settings, Redis, vendor, clock and workers are as they must be."""

from __future__ import annotations

import json
from typing import Final

import click

from worker.cli.common import settings_in_words
from worker.cli.query_form import PAUSE_S, find, task_id_of
from worker.cli.store import plain
from worker.config.settings import from_environ

ROLES: Final = ("worker", "producer", "consumer", "operator", "ui", "forward", "events")
"""As `worker.store.acl` has them, which is imported where it is needed."""


@click.command()
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default=ROLES[0],
    show_default=True,
    help="The program that is run with this environment: whose settings and rights in Redis.",
)
@click.option("--task", "task_id", metavar="TASK_ID", help="Find out how the vendor wants queries signed.")
@click.option(
    "--pause",
    "pause_s",
    type=click.FloatRange(0),
    default=PAUSE_S,
    show_default=True,
    metavar="SECONDS",
    help="With --task: between two queries. Less is for tests.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding, by the name of its check.")
def doctor(role: str, task_id: str | None, pause_s: float, as_json: bool) -> None:
    """Check settings, Redis, the vendor's endpoint, clocks and workers; exit 1 where something is wrong.

    Nothing is submitted: of the vendor's endpoint only HEAD / is asked, unsigned. A line that begins with
    "warn" is allowed, and costs or risks what it says; docs/reference/doctor.md lists all checks.

    With --role it is for another program than a worker: its settings, the way to Redis, and each command and
    key of the rules that deploy/redis/users.acl has for it. Where those may look, also queue and workers.
    `aigc ui` that decides has the rights of an operator; with --read-only those of ui.

    With --task nothing else is checked: the vendor is asked about this task, which costs nothing, in one
    form of signature after another, until it takes one; then the setting for it is printed. Give a task id
    of the last hours. Exit 1 where the vendor takes none.

    \b
    Examples:
      aigc doctor
      aigc doctor --role producer
      aigc doctor --json | jq -r 'select(.level == "wrong") | .what'
      aigc doctor --task 6a28e8f6-3a6c-4d1b-9f0f-1c1f7c3f3a52
    """
    if task_id is not None:
        if as_json or role != ROLES[0]:
            raise click.UsageError("--json and --role go without --task")
        with settings_in_words():
            settings = from_environ()
        find(settings, task_id_of(task_id), pause_s)
        return
    from worker.cli.checks.looks import findings

    wrong, told = 0, set[str]()
    for finding in findings(role):
        if finding.line in told:
            continue  # that it is a replica: asked before all else, which a replica may refuse
        told.add(finding.line)
        click.echo(json.dumps(finding.document()) if as_json else plain(finding.line))
        wrong += finding.level == "wrong"
    if wrong:
        raise click.exceptions.Exit(1)
