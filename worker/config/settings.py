"""What the worker is told by its environment, read once at start and checked as a whole.

The only reader of the environment in ``worker``; the broker's settings are read as producers read them, by
``tasks.settings``. A value that cannot be right is refused together with every other wrong one.
``docs/settings.md`` lists all names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from tasks.declared import Declared
from tasks.prices import Prices
from tasks.redis_url import place_of, secrets_of
from tasks.settings import BrokerSettings, Network, read_broker, read_workflows
from worker.config.deciding import DecidingSettings, read_deciding
from worker.config.environment import WorkerEnvironment
from worker.config.follow import FollowSettings, read_deadline, read_follow
from worker.config.service import LEVELS, ServiceSettings, load_service
from worker.config.store import StoreSettings, read_store
from worker.domain.query_signing import DEFAULT_FORM, FORMS, QueryForm

DEFAULT_ENDPOINT: Final = "https://industrysolutions.alibabacloud.com"
DEFAULT_STATE_DIR: Final = "aigc-worker"
"""Within the user's folder for state: `XDG_STATE_HOME`, or `.local/state` of the home directory."""

FORWARD_SECRET: Final = "AIGC_FORWARD_SECRET"
UI_TOKEN: Final = "AIGC_UI_TOKEN"

ATTEMPT_MAX_S: Final = 600.0
"""Bound of one attempt: a worker that stops waits for it."""


@dataclass(frozen=True, slots=True)
class Settings(BrokerSettings):
    """Checked settings. Names ending in ``_s`` are seconds; None means no limit, or switched off."""

    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    concurrency: int
    connect_timeout_s: float
    read_timeout_s: float
    keep_alive: bool
    max_attempts: int
    retry_base_s: float
    retry_cap_s: float
    job_deadline_s: float
    on_unknown: Literal["hold", "resubmit"]
    rate_per_s: float | None
    workflow_rates: Mapping[str, float]
    max_inflight: int | None
    breaker_after: int
    breaker_window_s: float
    probe_max_s: float
    log_level: str
    log_format: Literal["auto", "human", "json"]
    results_maxlen: int
    journal_ttl_s: float
    state_dir: str
    callback_queue: str
    workflows: Declared = field(repr=False)
    preflight: bool
    fetch_allow: tuple[Network, ...]
    query_form: QueryForm
    store: StoreSettings | None
    prices: Prices
    follow: FollowSettings | None
    sentry_dsn: str | None = field(repr=False)
    warnings: tuple[str, ...]
    """One line for each variable that looks like a misspelt setting."""

    def redis_place(self) -> str:
        """Host, port and number of the Redis, without its password."""
        return place_of(self.redis_url)

    def secrets(self) -> tuple[str, ...]:
        """Every value that no log line and no report may show."""
        return tuple(filter(None, (self.access_key, self.secret_key, *secrets_of(self.redis_url))))


def foreign_environ() -> dict[str, str]:
    """This process's environment without any setting of ours: to start a process with other settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AIGC_", "SENTRY_"))}


def from_environ() -> Settings:
    """The settings of this process; raises as :func:`load`."""
    return load(os.environ)


def service_from_environ(*, secrets: tuple[str, ...], warnings: tuple[str, ...]) -> ServiceSettings:
    """The settings of this process, a service; as :func:`worker.config.service.load_service`."""
    return load_service(os.environ, secrets, warnings)


def forward_secrets_from_environ(*, must: bool = True) -> tuple[str, ...]:
    """What this process signs webhooks with: one secret, or several during a rotation; none if none must be.

    Raises:
        SettingsError: there is none, or one cannot be right.
    """
    read = WorkerEnvironment(os.environ)
    secrets = read.webhook_secrets(FORWARD_SECRET) if must or read.is_set(FORWARD_SECRET) else ()
    read.raise_problems()
    return secrets


def ui_token_from_environ(*, must: bool) -> str | None:
    """What whoever looks at `aigc ui` has to bring; None where nothing is set.

    Args:
        must: it is needed, for others than this machine can reach the service.

    Raises:
        SettingsError: there is none and there must be, or it cannot be right.
    """
    read = WorkerEnvironment(os.environ)
    token = read.ui_token(UI_TOKEN, must=must)
    read.raise_problems()
    return token


def colours_from_environ() -> bool:
    """Whether this process's terminal has colours, and nobody asked for none (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def deciding_from_environ() -> DecidingSettings:
    """The settings of this process, an operator's command or page.

    Raises:
        SettingsError: a value cannot be right.
    """
    read = WorkerEnvironment(os.environ)
    settings = read_deciding(read)
    read.raise_problems()
    return settings


def follows_by_environ() -> bool:
    """Whether a worker with this process's environment would follow tasks."""
    return read_follow(WorkerEnvironment(os.environ)) is not None


def follow_deadline_from_environ() -> float | None:
    """The seconds for which this process's environment follows tasks; None where it does not say.

    Raises:
        SettingsError: the value cannot be right.
    """
    read = WorkerEnvironment(os.environ)
    seconds = read_deadline(read)
    read.raise_problems()
    return seconds


def fetch_allow_from_environ() -> tuple[Network, ...]:
    """The networks beside the public internet that this process's environment lets customers' URLs lead to.

    Raises:
        SettingsError: the value cannot be right.
    """
    read = WorkerEnvironment(os.environ)
    networks = read.networks("AIGC_FETCH_ALLOW")
    read.raise_problems()
    return networks


def state_dir_from_environ() -> str:
    """The folder that this process's environment has for in-flight logs.

    Raises:
        SettingsError: the value cannot be right.
    """
    read = WorkerEnvironment(os.environ)
    folder = read.folder("AIGC_STATE_DIR", DEFAULT_STATE_DIR)
    read.raise_problems()
    return folder


def keys_from_environ() -> tuple[str, str] | None:
    """The key pair of this process, access key first; None where neither is set.

    Raises:
        SettingsError: only one is set, or one cannot be right.
    """
    read = WorkerEnvironment(os.environ)
    if not read.is_set("AIGC_ACCESS_KEY") and not read.is_set("AIGC_SECRET_KEY"):
        return None
    keys = _keys(read)
    read.raise_problems()
    return keys


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast jobs may be sent; the fields are those of `Settings`."""

    rate_per_s: float | None
    workflow_rates: Mapping[str, float]
    max_inflight: int | None
    concurrency: int


def limits_from_environ() -> Limits:
    """The limits that this process's environment has, for which no key of the vendor's is needed.

    Raises:
        SettingsError: naming each variable that cannot be right.
    """
    read = WorkerEnvironment(os.environ)
    limits = Limits(
        rate_per_s=read.number("AIGC_RATE_PER_S", None),
        workflow_rates=read.numbers("AIGC_RATE_PER_S__"),
        max_inflight=read.integer("AIGC_MAX_INFLIGHT", None),
        concurrency=read.integer("AIGC_CONCURRENCY", 32, high=1024),
    )
    read.raise_problems()
    return limits


def load(environ: Mapping[str, str]) -> Settings:
    """Read and check all settings; an empty variable counts as not set.

    Raises:
        SettingsError: naming every variable that is missing or cannot be right.
    """
    read = WorkerEnvironment(environ)
    settings = _read(read)
    read.raise_problems()
    read.problems += _contradictions(settings)
    read.raise_problems()
    return settings


def _read(read: WorkerEnvironment) -> Settings:
    broker = read_broker(read)
    access_key, secret_key = _keys(read)
    cap_s = read.number("AIGC_RETRY_CAP_S", 60.0)
    # Not ours, and no misspelling either: one environment may be for all services.
    read.is_set(FORWARD_SECRET), read.is_set(UI_TOKEN)
    return Settings(
        redis_url=broker.redis_url,
        queue=broker.queue,
        results=broker.results,
        outputs=broker.outputs,
        endpoint=read.endpoint("AIGC_ENDPOINT", DEFAULT_ENDPOINT),
        access_key=access_key,
        secret_key=secret_key,
        concurrency=read.integer("AIGC_CONCURRENCY", 32, high=1024),
        connect_timeout_s=read.number("AIGC_CONNECT_TIMEOUT_S", 5.0),
        read_timeout_s=read.number("AIGC_READ_TIMEOUT_S", 30.0),
        keep_alive=read.choice("AIGC_KEEPALIVE", "on", ("on", "off")) == "on",
        max_attempts=read.integer("AIGC_MAX_ATTEMPTS", 6),
        retry_base_s=read.number("AIGC_RETRY_BASE_S", min(1.0, cap_s)),
        retry_cap_s=cap_s,
        job_deadline_s=read.number("AIGC_JOB_DEADLINE_S", 86400.0),
        on_unknown=read.choice("AIGC_ON_UNKNOWN", "hold", ("hold", "resubmit")),
        rate_per_s=read.number("AIGC_RATE_PER_S", None),
        workflow_rates=read.numbers("AIGC_RATE_PER_S__"),
        max_inflight=read.integer("AIGC_MAX_INFLIGHT", None),
        breaker_after=read.integer("AIGC_BRAKE_AFTER", 5, low=0, high=1000),
        breaker_window_s=read.number("AIGC_BRAKE_WINDOW_S", 30.0),
        probe_max_s=read.number("AIGC_PROBE_MAX_S", 4.0),
        log_level=read.choice("AIGC_LOG_LEVEL", "INFO", LEVELS),
        log_format=read.choice("AIGC_LOG_FORMAT", "auto", ("auto", "human", "json")),
        results_maxlen=read.integer("AIGC_RESULTS_MAXLEN", 1_000_000),
        journal_ttl_s=read.number("AIGC_JOURNAL_TTL_S", 604800.0),
        state_dir=read.folder("AIGC_STATE_DIR", DEFAULT_STATE_DIR),
        callback_queue=read.name("AIGC_CALLBACK_QUEUE", "celery"),
        workflows=read_workflows(read),
        preflight=read.choice("AIGC_PREFLIGHT", "off", ("off", "on")) == "on",
        fetch_allow=read.networks("AIGC_FETCH_ALLOW"),
        query_form=read.choice("AIGC_QUERY_SIGNATURE", DEFAULT_FORM, FORMS),
        store=read_store(read),
        prices=Prices.read(read),
        follow=read_follow(read),
        sentry_dsn=read.sentry_dsn("SENTRY_DSN"),
        warnings=read.misspelt("AIGC_"),
    )


def _keys(read: WorkerEnvironment) -> tuple[str, str]:
    return read.key("AIGC_ACCESS_KEY", ascii_only=True), read.key("AIGC_SECRET_KEY")


def _contradictions(settings: Settings) -> list[str]:
    """What is wrong although each value alone could be right."""
    problems = []
    if settings.retry_cap_s < settings.retry_base_s:
        problems.append("AIGC_RETRY_CAP_S must be at least AIGC_RETRY_BASE_S")
    if settings.connect_timeout_s + settings.read_timeout_s > ATTEMPT_MAX_S:
        both = "AIGC_CONNECT_TIMEOUT_S and AIGC_READ_TIMEOUT_S"
        problems.append(f"{both} must be at most {ATTEMPT_MAX_S:.0f} s together")
    return problems
