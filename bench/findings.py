"""What was measured in one run, and the medians and ratios of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.contenders import Contender
from bench.measure import Cost, Latency, Throughput

REFERENCE = "celery"


@dataclass(slots=True)
class Findings:
    """The figures by contender's key; costs have one entry a round."""

    contenders: Sequence[Contender]
    rounds: int
    jobs: int
    costs: dict[str, list[Cost]] = field(default_factory=dict)
    idle: dict[str, Latency] = field(default_factory=dict)
    half_load: dict[str, Latency] = field(default_factory=dict)
    backlogs: dict[tuple[str, int], list[Cost]] = field(default_factory=dict)
    throughputs: dict[str, Throughput] = field(default_factory=dict)
    by_workers: dict[int, Throughput] = field(default_factory=dict)
    load_before: float = 0.0
    startup_s: float = 0.0
    import_s: float = 0.0

    def worker_us(self, contender: Contender) -> float:
        """Median CPU microseconds of the worker for a job."""
        return statistics.median(cost.worker_us for cost in self.costs[contender.key])

    def enqueue_us(self, contender: Contender) -> float:
        """Median CPU microseconds of the producer for a job."""
        return statistics.median(cost.enqueue_us for cost in self.costs[contender.key])

    def waiting_bytes(self, contender: Contender) -> float:
        return statistics.median(cost.waiting_bytes for cost in self.costs[contender.key])

    def ratio(self, contender: Contender) -> float:
        """Of the reference's cost: the median of the rounds' ratios, so that a slow round cancels out."""
        pairs = zip(self.costs[contender.key], self.costs[REFERENCE], strict=True)
        return statistics.median(cost.worker_us / reference.worker_us for cost, reference in pairs)
