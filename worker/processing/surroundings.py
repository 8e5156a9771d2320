"""What the pipeline works with."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from worker.domain.retry import Policy
from worker.local.inflight_log import InflightLog
from worker.observability import Reporter
from worker.processing.first_attempt import FirstAttemptGuard
from worker.processing.flow_control import FlowControl
from worker.processing.settlement_guard import SettlementGuard
from worker.store.jobs import JobStore


class PlaceWatcher(Protocol):
    """Tells when a place in flight is free that this worker waits for; see `worker.store.slots`."""

    def arm(self) -> None: ...
    def disarm(self) -> None: ...


class NoWatcher:
    """Never tells; who waits for a place asks now and then."""

    def arm(self) -> None:
        pass

    def disarm(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the loop works with.

    Attributes:
        rejoin: takes a new name instead of one that was declared dead.
        jitter: uniform in [0, 1).
    """

    policy: Policy
    concurrency: int
    job_store: JobStore
    reporter: Reporter
    inflight: InflightLog
    flow_control: FlowControl
    first_attempt: FirstAttemptGuard
    guard: SettlementGuard
    places: PlaceWatcher
    rejoin: Callable[[str], str]
    jitter: Callable[[], float] = random.random
