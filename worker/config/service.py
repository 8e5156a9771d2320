"""What a companion of the workers is told by its environment: the queue, its log; no key of the vendor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from tasks.redis_url import secrets_of
from tasks.settings import BrokerSettings, read_broker
from worker.config.environment import WorkerEnvironment

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, slots=True)
class ServiceSettings(BrokerSettings):
    """Checked settings of a service. ``own_secrets`` are those that it has beside the environment's."""

    log_level: str
    log_format: Literal["auto", "human", "json"]
    sentry_dsn: str | None = field(repr=False)
    warnings: tuple[str, ...]
    own_secrets: tuple[str, ...] = field(repr=False)

    def secrets(self) -> tuple[str, ...]:
        """Every value that no log line and no report may show."""
        return (*self.own_secrets, *secrets_of(self.redis_url))


def load_service(
    environ: Mapping[str, str], own_secrets: tuple[str, ...], warnings: tuple[str, ...]
) -> ServiceSettings:
    """Read and check what services need; an empty variable counts as not set.

    Args:
        own_secrets: what the log must not show, beside the environment's secrets.
        warnings: what to say of the service's configuration once it logs.

    Raises:
        SettingsError: naming every variable that cannot be right.
    """
    read = WorkerEnvironment(environ)
    broker = read_broker(read)
    settings = ServiceSettings(
        redis_url=broker.redis_url,
        queue=broker.queue,
        results=broker.results,
        outputs=broker.outputs,
        log_level=read.choice("AIGC_LOG_LEVEL", "INFO", LEVELS),
        log_format=read.choice("AIGC_LOG_FORMAT", "auto", ("auto", "human", "json")),
        sentry_dsn=read.sentry_dsn("SENTRY_DSN"),
        warnings=warnings,
        own_secrets=own_secrets,
    )
    read.raise_problems()
    return settings
