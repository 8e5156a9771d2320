"""`aigc doctor`: whether this machine's settings, Redis, vendor, clock and workers are as they must be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import click

from tasks.declared import Declared
from tasks.exceptions import SettingsError
from tasks.settings import BrokerSettings, broker_from_environ
from worker.cli import alarms
from worker.cli.common import settings_in_words
from worker.cli.query_form import PAUSE_S, find, task_id_of
from worker.cli.sentinel_check import sentinel_findings
from worker.cli.store_check import store_findings
from worker.config.settings import Settings, from_environ

if TYPE_CHECKING:
    from worker.store.scripts import Scripts

LOOK_S: Final = 5.0
CLOCK_TOLERANCE_S: Final = 60.0
OLDEST_REDIS: Final = (7, 0)

Finding = tuple[bool, str]


@click.command()
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
def doctor(task_id: str | None, pause_s: float) -> None:
    """Check settings, Redis, the vendor's endpoint, clocks and workers; exit 1 where something is wrong.

    Nothing is submitted: of the vendor's endpoint only HEAD / is asked, unsigned.

    With --task nothing else is checked: the vendor is asked about this task, which costs nothing, in one
    form of signature after another, until it takes one; then the setting for it is printed. Give a task id
    of the last hours. Exit 1 where the vendor takes none.

    \b
    Examples:
      aigc doctor
      aigc doctor --task 6a28e8f6-3a6c-4d1b-9f0f-1c1f7c3f3a52
    """
    if task_id is not None:
        with settings_in_words():
            settings = from_environ()
        find(settings, task_id_of(task_id), pause_s)
        return
    wrong, told = 0, set[Finding]()
    for right, words in _findings():
        if (right, words) in told:
            continue  # that it is a replica: asked before all else, which a replica may refuse
        told.add((right, words))
        click.echo(f"{'ok   ' if right else 'WRONG'}  {words}")
        wrong += not right
    if wrong:
        raise click.exceptions.Exit(1)


def _findings() -> Iterator[Finding]:
    try:
        settings = from_environ()
    except SettingsError as error:
        yield from ((False, problem) for problem in error.problems)
        with suppress(SettingsError):  # told already
            yield from _redis(broker_from_environ())
        return
    yield True, "the settings are complete (whether the vendor takes the keys, only a job can show)"
    yield from ((False, warning) for warning in settings.warnings)
    if settings.preflight:
        yield True, "AIGC_PREFLIGHT: pictures are looked at before their jobs are sent"
    if settings.fetch_allow:
        networks = ", ".join(map(str, settings.fetch_allow))
        yield True, f"AIGC_FETCH_ALLOW: customers' URLs may lead to {networks}"
    from worker.from_settings import limited_names

    yield from _redis(settings, limited_names(settings), settings.workflows)
    yield from _vendor(settings)
    yield from store_findings(settings)


def _redis(
    broker: BrokerSettings, limited: tuple[str, ...] = (), declared: Declared | None = None
) -> Iterator[Finding]:
    from tasks.redis_errors import refusal
    from worker.config.settings import follows_by_environ
    from worker.store.keys import KeyNames
    from worker.store.retrying import Away
    from worker.store.scripts import Scripts
    from worker.store.selftest import refusals
    from worker.store.stats import stats
    from worker.store.status import with_unread
    from worker.store.unread_lists import find
    from worker.store.workflows import of_rates, unseen

    keys = KeyNames(broker.queue, broker.results, broker.outputs if follows_by_environ() else None)
    yield from sentinel_findings(broker.redis_url)
    scripts = Scripts(broker.redis_url, (keys.queue, keys.results), connections=2)
    try:
        yield from _server(scripts)
        refused = refusals(scripts.client, keys)
        yield from ((False, f"Redis: {refusal}") for refusal in refused)
        if not refused:
            yield True, "Redis takes all that a worker writes, by a test that writes nothing"
        yield from ((False, line) for line in of_rates(unseen(scripts.client, keys, limited)))
        unread, complete = find(scripts.client, keys, LOOK_S)
        found = with_unread(stats(scripts, keys), unread)
        if not complete:
            yield True, f"not all keys could be looked at for lists that nobody reads, in {LOOK_S:.0f} s"
    except Away as error:
        said = getattr(error, "status_code", None)
        away = f"AIGC_REDIS_URL: Redis does not answer: {f'{said} ' if said else ''}{error}"
        yield False, refusal(error) or away
        return
    finally:
        scripts.client.close()
    count = alarms.consuming(found)
    yield bool(count), f"workers that consume: {count or 'none'}"
    yield from ((False, line) for line in alarms.of_operation(found))
    if declared is not None:
        yield from ((False, line) for line in alarms.of_workflows(found, declared.digest))


def _server(scripts: Scripts) -> Iterator[Finding]:
    from worker.store.redis_health import replica

    version = str(scripts.client.info("server")["redis_version"])
    numbers = tuple(int(part) for part in version.split(".")[:2])
    yield numbers >= OLDEST_REDIS, f"Redis {version}; at least {'.'.join(map(str, OLDEST_REDIS))} is needed"
    if words := replica(scripts.client.info("replication")):
        yield False, words
    second, micros = scripts.client.time()
    yield _clock("Redis", time.time() - second - micros / 1e6)


def _vendor(settings: Settings) -> Iterator[Finding]:
    from worker.vendor.connector import Connector
    from worker.vendor.remedies import remedy_of

    try:
        with Connector(settings.endpoint).session() as session:
            answer = session.head(f"{settings.endpoint}/", timeout=settings.connect_timeout_s)
    # Any class: name, connect, TLS, proxy and HTTP errors are one finding, in their own words.
    except Exception as error:
        cause = _first_cause(error)
        words = f"{type(cause).__name__}: {cause}"
        remedy = f" ({found})" if (found := remedy_of(cause)) else ""
        yield False, f"AIGC_ENDPOINT: {settings.endpoint} cannot be reached: {words}{remedy}"
        return
    yield True, f"{settings.endpoint} answers (HTTP {answer.status_code} to HEAD /)"
    with suppress(KeyError, ValueError):
        yield _clock("the vendor", time.time() - parsedate_to_datetime(answer.headers["Date"]).timestamp())


def _first_cause(error: BaseException) -> BaseException:
    """What libraries wrap several times, as the system said it; not what a message leaves out on purpose."""
    seen = set[int]()
    while inner := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        if id(inner) in seen:
            break  # one that was raised from itself has no end
        seen.add(id(inner))
        error = inner
    return error


def _clock(whose: str, ahead_s: float) -> Finding:
    side = "ahead of" if ahead_s > 0 else "behind"
    return abs(
        ahead_s
    ) < CLOCK_TOLERANCE_S, f"this machine's clock is {abs(ahead_s):.1f} s {side} that of {whose}"
