"""Looks at settings, Redis, vendor and machine, and has the checks judge what is there."""

from __future__ import annotations

import importlib.util
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import Any, Final

from tasks.connection import word_of
from tasks.declared import Declared
from tasks.exceptions import SettingsError
from tasks.redis_errors import refusal
from tasks.redis_url import sentinels_of
from tasks.settings import BrokerSettings, broker_from_environ
from worker.cli import alarms
from worker.cli.checks.exposure import of_connection, of_extras, of_program, of_token
from worker.cli.checks.finding import Finding, ok, warn, wrong
from worker.cli.checks.machine import of_clock, of_descriptors, of_folder, state_folder
from worker.cli.checks.operation import of_following, of_operation, of_unread, of_versions
from worker.cli.checks.roles import LOOKING, named, settings_of
from worker.cli.checks.sentinels import sentinel_findings
from worker.cli.checks.server import ASKED, of_server
from worker.cli.checks.settings import of_prices, of_settings
from worker.cli.checks.store import store_findings
from worker.config.settings import (
    FORWARD_SECRET,
    UI_TOKEN,
    Settings,
    follows_by_environ,
    forward_secrets_from_environ,
    from_environ,
    ui_token_from_environ,
)
from worker.from_settings import limited_names
from worker.local.description import own_version
from worker.store.keys import KeyNames
from worker.store.redis_health import replica
from worker.store.redis_wait import Away, Refused
from worker.store.role_needs import needs_of
from worker.store.scripts import Scripts
from worker.store.selftest import refusals
from worker.store.status import status
from worker.store.unread_lists import find
from worker.store.workflows import of_rates, unseen

LOOK_S: Final = 5.0


def findings(role: str = "worker") -> Iterator[Finding]:
    """All that is found, in the order in which it is to be mended.

    Args:
        role: one of `worker.store.acl.ROLES`, the program for which this environment is.
    """
    yield from _of_services()
    if role == "worker":
        yield from _of_worker()
    else:
        yield from _of_other(role)


def _of_worker() -> Iterator[Finding]:
    try:
        settings = from_environ()
    except SettingsError as error:
        yield from (wrong("settings", problem) for problem in error.problems)
        with suppress(SettingsError):  # told already
            yield from _redis(broker_from_environ(), None)
        return
    words = "the settings are complete (whether the vendor takes the keys, only a job can show)"
    yield ok("settings", words)
    yield from (wrong("settings", warning) for warning in settings.warnings)
    yield from of_settings(settings)
    yield from of_folder(state_folder(settings.state_dir))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield from of_descriptors(settings.concurrency, settings.follow is not None, hard)
    yield from _redis(settings, settings)
    yield from _vendor(settings)
    yield from store_findings(settings)


def _of_other(role: str) -> Iterator[Finding]:
    yield from of_program(role, _is_installed)
    broker, found = settings_of(role)
    yield from found
    if broker is not None:
        yield from _redis(broker, None, role)


def _of_services() -> Iterator[Finding]:
    """What is set for `aigc ui` and `aigc forward`: one environment may be for all."""
    try:
        token, secrets = ui_token_from_environ(must=False), forward_secrets_from_environ(must=False)
    except SettingsError as error:
        yield from (wrong("secrets", problem) for problem in error.problems)
        return
    yield from of_token(UI_TOKEN, token)
    configured = {UI_TOKEN: token is not None, FORWARD_SECRET: bool(secrets)}
    yield from of_extras(configured, _is_installed)


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _redis(broker: BrokerSettings, settings: Settings | None, role: str = "worker") -> Iterator[Finding]:
    yield from of_connection(broker.redis_url)
    yield from sentinel_findings(broker.redis_url)
    keys = _keys(broker, role)
    scripts = Scripts(broker.redis_url, (keys.queue, keys.results), connections=2)
    try:
        yield from _asked(scripts, keys, broker, settings, role)
    except Away as error:
        said = getattr(error, "status_code", None)
        away = f"AIGC_REDIS_URL: Redis does not answer: {f'{said} ' if said else ''}{error}"
        told = refusal(error)
        yield wrong("redis", told or away, "" if told else "start it, or let AIGC_REDIS_URL name where it is")
    finally:
        scripts.client.close()


def _keys(broker: BrokerSettings, role: str) -> KeyNames:
    """A worker that follows no task has nothing to do with outputs."""
    has_outputs = role != "worker" or follows_by_environ()
    return KeyNames(broker.queue, broker.results, broker.outputs if has_outputs else None)


def _asked(
    scripts: Scripts, keys: KeyNames, broker: BrokerSettings, settings: Settings | None, role: str
) -> Iterator[Finding]:
    server, rights = _server(scripts.client, broker.redis_url), _rights(scripts.client, keys, role)
    # What others may not ask of the server, their rights tell.
    yield from chain(server, rights) if role == "worker" else chain(rights, server)
    if settings is not None:
        yield from _names(scripts.client, keys, settings)
    if role not in LOOKING:
        return
    try:
        yield from _operation(scripts, keys, broker, settings)
    except Away as error:
        if role != "worker" or word_of(error) != "NOPERM":
            raise
        # A worker needs no right to most of it: deploy/redis/users.acl.
        what = "queue and workers were not looked at: the worker's user has no right to, and needs none"
        yield warn("operation", what, "aigc doctor --role operator, with an operator's AIGC_REDIS_URL")


def _operation(
    scripts: Scripts, keys: KeyNames, broker: BrokerSettings, settings: Settings | None
) -> Iterator[Finding]:
    """Queue and workers."""
    unread, complete = find(scripts.client, keys, LOOK_S)
    found = status(scripts, keys, {"results": broker.results, "outputs": broker.outputs}, unread)
    yield from of_unread(complete, LOOK_S)
    yield from of_operation(found)
    yield from of_versions(found["workers"], own_version())
    yield from of_following(found, follows_by_environ())
    if settings is not None:
        yield from _workflows(found, settings.workflows)


def _server(client: Any, redis_url: str) -> Iterator[Finding]:
    answers = {}
    for name, (method, *arguments) in ASKED.items():
        try:
            answers[name] = getattr(client, method)(*arguments)
        except Away as error:
            if name == "info" or not isinstance(error, Refused):
                raise
            answers[name] = None  # hidden by who runs it
    yield from of_server(answers, sentinels_of(redis_url) is not None)
    if words := replica(answers["info"]):
        yield wrong("redis", words)
    second, micros = client.time()
    yield of_clock("Redis", time.time() - second - micros / 1e6)


def _rights(client: Any, keys: KeyNames, role: str) -> Iterator[Finding]:
    refused = refusals(client, keys, needs_of(role, keys))
    for line in refused:
        of_outputs = role == "worker" and keys.outputs is not None and f" {keys.outputs}:" in line
        stops = "; with AIGC_FOLLOW=on no job is taken until then" if of_outputs else ""
        yield wrong("rights", f"Redis: {line}{stops}")
    if not refused:
        all_of_it = "all that a worker writes" if role == "worker" else f"all that {named(role)} does"
        yield ok("rights", f"Redis takes {all_of_it}, by a test that writes nothing")


def _names(client: Any, keys: KeyNames, settings: Settings) -> Iterator[Finding]:
    """Limits and prices, against the workflows of which there were jobs."""
    rates = of_rates(unseen(client, keys, limited_names(settings)))
    yield from (wrong("limit-names", line) for line in rates)
    yield from of_prices(settings.prices, [name.decode() for name in client.smembers(keys.workflows)])


def _workflows(found: dict[str, Any], declared: Declared) -> Iterator[Finding]:
    mend = "give both the same file, and restart the worker"
    lines = alarms.of_workflows(found, declared.digest)
    yield from (wrong("workflows", line, mend) for line in lines)


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
        what = f"AIGC_ENDPOINT: {settings.endpoint} cannot be reached: {words}{remedy}"
        yield wrong("endpoint", what, "" if found else "see to this machine's network, proxy and firewall")
        return
    yield ok("endpoint", f"{settings.endpoint} answers (HTTP {answer.status_code} to HEAD /)")
    with suppress(KeyError, ValueError):
        then = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        yield of_clock("the vendor", time.time() - then)


def _first_cause(error: BaseException) -> BaseException:
    """What libraries wrap several times, as the system said it; not what a message leaves out on purpose."""
    seen = set[int]()
    while inner := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        if id(inner) in seen:
            break  # one that was raised from itself has no end
        seen.add(id(inner))
        error = inner
    return error
