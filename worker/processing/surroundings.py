"""What the pipeline works with."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.domain.remarks import Remarks
from worker.domain.retry import Policy
from worker.local.inflight_log import InflightLog
from worker.observability import Reporter
from worker.processing.first_attempt import FirstAttemptGuard
from worker.processing.flow_control import FlowControl
from worker.processing.settlement_guard import SettlementGuard
from worker.store.jobs import JobStore
from worker.store.slots import SlotWatcher
from worker.store.workflows import SeenWorkflows

if TYPE_CHECKING:
    from worker.preflight.checks import Checks
    from worker.processing.spans import Spans


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the loop works with.

    Attributes:
        workflows: notes of which workflows there are jobs.
        rejoin: takes a new name instead of one that was declared dead.
        image_checks: looks at pictures, where that is switched on.
        spans: makes traces, where they are on.
        jitter: uniform in [0, 1).
        remarks: what is said once in a while.
    """

    policy: Policy
    concurrency: int
    job_store: JobStore
    reporter: Reporter
    inflight: InflightLog
    flow_control: FlowControl
    first_attempt: FirstAttemptGuard
    guard: SettlementGuard
    slots: SlotWatcher
    rejoin: Callable[[str], str]
    image_checks: Checks | None = None
    spans: Spans | None = None
    workflows: SeenWorkflows = field(default_factory=SeenWorkflows)
    jitter: Callable[[], float] = random.random
    remarks: Remarks = field(default_factory=Remarks)
