"""Looks at settings, Redis, vendor and machine, and has the checks judge what is there."""

from __future__ import annotations

import importlib.util
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, Final

from tasks.declared import Declared
from tasks.exceptions import SettingsError
from tasks.redis_errors import refusal
from tasks.redis_url import sentinels_of
from tasks.settings import BrokerSettings, broker_from_environ
from worker.cli import alarms
from worker.cli.checks.exposure import of_connection, of_extras, of_token
from worker.cli.checks.finding import Finding, ok, warn, wrong
from worker.cli.checks.machine import of_clock, of_descriptors, of_folder, state_folder
from worker.cli.checks.operation import of_following, of_operation, of_versions
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
from worker.store.retrying import Away
from worker.store.scripts import Scripts
from worker.store.selftest import refusals
from worker.store.status import status
from worker.store.unread_lists import find
from worker.store.workflows import of_rates, unseen

LOOK_S: Final = 5.0


def findings() -> Iterator[Finding]:
    """All that is found, in the order in which it is to be mended."""
    yield from _of_services()
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


def _of_services() -> Iterator[Finding]:
    """What is set for `aigc ui` and `aigc forward`: one environment may be for all."""
    try:
        token, secrets = ui_token_from_environ(must=False), forward_secrets_from_environ(must=False)
    except SettingsError as error:
        yield from (wrong("secrets", problem) for problem in error.problems)
        return
    yield from of_token(UI_TOKEN, token)
    configured = {UI_TOKEN: token is not None, FORWARD_SECRET: bool(secrets)}
    yield from of_extras(configured, lambda module: importlib.util.find_spec(module) is not None)


def _redis(broker: BrokerSettings, settings: Settings | None) -> Iterator[Finding]:
    yield from of_connection(broker.redis_url)
    yield from sentinel_findings(broker.redis_url)
    keys = KeyNames(broker.queue, broker.results, broker.outputs if follows_by_environ() else None)
    scripts = Scripts(broker.redis_url, (keys.queue, keys.results), connections=2)
    try:
        yield from _server(scripts.client, broker.redis_url)
        yield from _rights(scripts.client, keys)
        if settings is not None:
            yield from _names(scripts.client, keys, settings)
        unread, complete = find(scripts.client, keys, LOOK_S)
        found = status(scripts, keys, {"results": broker.results, "outputs": broker.outputs}, unread)
    except Away as error:
        said = getattr(error, "status_code", None)
        away = f"AIGC_REDIS_URL: Redis does not answer: {f'{said} ' if said else ''}{error}"
        told = refusal(error)
        yield wrong("redis", told or away, "" if told else "start it, or let AIGC_REDIS_URL name where it is")
        return
    finally:
        scripts.client.close()
    if not complete:
        what = f"not all keys could be looked at for lists that nobody reads, in {LOOK_S:.0f} s"
        yield warn("unread-lists", what, "aigc doctor again, when Redis has less to do")
    yield from of_operation(found)
    yield from of_versions(found["workers"], own_version())
    yield from of_following(found, keys.outputs is not None)
    if settings is not None:
        yield from _workflows(found, settings.workflows)


def _server(client: Any, redis_url: str) -> Iterator[Finding]:
    answers = {}
    for name, (method, *arguments) in ASKED.items():
        try:
            answers[name] = getattr(client, method)(*arguments)
        except Away as error:
            if name == "info" or refusal(error) is None:
                raise
            answers[name] = None  # hidden by who runs it
    yield from of_server(answers, sentinels_of(redis_url) is not None)
    if words := replica(answers["info"]):
        yield wrong("redis", words)
    second, micros = client.time()
    yield of_clock("Redis", time.time() - second - micros / 1e6)


def _rights(client: Any, keys: KeyNames) -> Iterator[Finding]:
    refused = refusals(client, keys)
    for line in refused:
        of_outputs = keys.outputs is not None and f" {keys.outputs}:" in line
        stops = "; with AIGC_FOLLOW=on no job is taken until then" if of_outputs else ""
        yield wrong("rights", f"Redis: {line}{stops}")
    if not refused:
        yield ok("rights", "Redis takes all that a worker writes, by a test that writes nothing")


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
