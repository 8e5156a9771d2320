"""How old a job is, and for how long an attempt of it may still begin. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.envelope import Job
from worker.domain.retry import Policy
from worker.store.values import Delivery


def age_and_left_s(
    job: Job, delivery: Delivery, record: Mapping[str, Any], policy: Policy, now: float
) -> tuple[float, float]:
    """Seconds since a job was queued, and until no attempt of it may begin any more.

    By its message where its record does not say, as the claim has it.

    Args:
        record: what is known of the job; empty where nothing is.
        now: seconds since the epoch.
    """
    enqueued_ms = record.get("enqueued_ms") or job.enqueued_ms
    age_s = max(0.0, now - enqueued_ms / 1000) if enqueued_ms else 0.0
    left_s = policy.deadline_s - age_s
    if delivery.expires_s is not None:
        left_s = min(left_s, delivery.expires_s - now)
    return age_s, left_s
