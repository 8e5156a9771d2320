"""Values and parts as the settings have them, for whoever puts parts together: the worker, and commands."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tasks.exceptions import SettingsError
from worker.config.follow import FollowSettings
from worker.config.settings import Settings
from worker.domain.retry import Policy
from worker.domain.signing import Credentials
from worker.local.inflight_folder import LogFolder, usable
from worker.observability import traces
from worker.store.keys import KeyNames
from worker.store.metric_fields import millionths
from worker.store.scripts import Scripts
from worker.store.tasks import TaskStore
from worker.store.values import SharedLimits
from worker.vendor import Client, QueryClient

if TYPE_CHECKING:
    from worker.following.follower import Follower
    from worker.keeping import Keeper
    from worker.preflight.checks import Checks
    from worker.processing.spans import Spans


QUERY_MARGIN: Final = 1.15
"""Queries are so much further apart than their rate asks for."""


def folder_of(settings: Settings) -> LogFolder:
    """Where the in-flight logs of this queue's workers on this machine are."""
    folder = usable(Path(settings.state_dir), tempfile.gettempdir)
    return LogFolder.of_queue(folder, settings.redis_place(), settings.queue)


def spans_of(settings: Settings) -> Spans | None:
    """What makes traces of a worker's work; None where they are off."""
    tracer = traces.tracer()
    if tracer is None:
        return None
    from worker.processing.spans import Spans

    return Spans(tracer, settings.queue, settings.endpoint)


def client_of(settings: Settings) -> Client:
    """The vendor's client, as the settings have it."""
    return Client(
        settings.endpoint,
        Credentials(settings.access_key, settings.secret_key),
        connect_timeout_s=settings.connect_timeout_s,
        read_timeout_s=settings.read_timeout_s,
        keep_alive=settings.keep_alive,
    )


def query_client_of(settings: Settings) -> QueryClient:
    """What asks the vendor about tasks, as the settings have it."""
    return QueryClient(
        settings.endpoint,
        settings.access_key,
        settings.secret_key,
        settings.query_form,
        connect_timeout_s=settings.connect_timeout_s,
        read_timeout_s=settings.read_timeout_s,
        keep_alive=settings.keep_alive,
    )


def image_checks_of(settings: Settings) -> Checks | None:
    """What looks at pictures before jobs are sent; None where that is switched off."""
    if not settings.preflight:
        return None
    from worker.preflight.checker import Checker
    from worker.preflight.checks import Checks

    return Checks(Checker(settings.fetch_allow).check)


def keeper_of(settings: Settings) -> Keeper | None:
    """What keeps finished files; None where no store is named.

    Raises:
        SettingsError: the store is a folder that cannot be made or written to.
    """
    if settings.store is None:
        return None
    from worker.keeping import Keeper

    try:
        return Keeper.of(settings.store, settings.fetch_allow)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problem = f"AIGC_STORE_URL must be a folder that can be made and written to: {reason}"
        raise SettingsError([problem]) from None


def keys_of(settings: Settings) -> KeyNames:
    """The names of the queue's keys; with that of the outputs where tasks are followed."""
    outputs = settings.outputs if settings.follow else None
    return KeyNames(settings.queue, settings.results, outputs)


def follower_of(settings: Settings, scripts: Scripts, owner: Callable[[], str]) -> Follower | None:
    """What follows tasks; None where that is switched off.

    Raises:
        SettingsError: as `keeper_of`.
    """
    if settings.follow is None:
        return None
    from worker.following.follower import Follower
    from worker.following.pace import QueryPace
    from worker.observability.following import FollowingReporter

    return Follower(
        tasks_of(settings, settings.follow, scripts),
        query_client_of(settings),
        keeper_of(settings),
        QueryPace(settings.follow.query_rate_per_s),
        FollowingReporter(),
        owner,
    )


def tasks_of(settings: Settings, follow: FollowSettings, scripts: Scripts) -> TaskStore:
    """The store of followed tasks, as the settings have it."""
    return TaskStore(
        scripts,
        keys_of(settings),
        # Queries come some ms later than in their turn, one more than the other: no second may have too many.
        interval_s=QUERY_MARGIN / follow.query_rate_per_s,
        deadline_s=follow.deadline_s,
        keep_s=round(settings.journal_ttl_s),
        maxlen=settings.results_maxlen,
    )


def policy_of(settings: Settings) -> Policy:
    """The retry policy that the settings ask for."""
    return Policy(
        max_attempts=settings.max_attempts,
        base_s=settings.retry_base_s,
        cap_s=settings.retry_cap_s,
        deadline_s=settings.job_deadline_s,
        on_unknown=settings.on_unknown,
    )


def limited_names(settings: Settings) -> tuple[str, ...]:
    """The workflows with a rate of their own that may be misspelt: a declared one is none of them."""
    return tuple(name for name in settings.workflow_rates if name not in settings.workflows.names)


def limits_of(settings: Settings) -> SharedLimits:
    """The limits that all workers share, as the settings have them."""
    return SharedLimits(
        max_inflight=settings.max_inflight or 0,
        interval_ms=1000 / settings.rate_per_s if settings.rate_per_s else 0.0,
        workflow_interval_ms=tuple((name, 1000 / rate) for name, rate in settings.workflow_rates.items()),
        breaker_after=settings.breaker_after,
        breaker_window_ms=round(1000 * settings.breaker_window_s),
        probe_longest_ms=round(1000 * settings.probe_max_s),
        probe_takes_ms=round(1000 * (settings.connect_timeout_s + settings.read_timeout_s + 5)),
        results_maxlen=settings.results_maxlen,
        keep_s=round(settings.journal_ttl_s),
        follow_ms=round(1000 * settings.follow.deadline_s) if settings.follow else 0,
        prices=tuple((name, millionths(price)) for name, price in settings.prices.by_workflow.items()),
    )
