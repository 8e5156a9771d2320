"""The names of all keys in Redis, made from the queue's name."""

from __future__ import annotations

from dataclasses import dataclass, field

from tasks.contract import Status, queue_lists


@dataclass(frozen=True, slots=True)
class KeyNames:
    """Key names of one queue; ``results`` is the public name of channel and stream."""

    queue: str
    results: str
    lists: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lists", queue_lists(self.queue))

    def job(self, job_id: str) -> str:
        return f"{self.queue}:job:{job_id}"

    def unacked(self, owner: str) -> str:
        return f"{self.queue}:unacked:{owner}"

    def dead_letters(self, status: Status | str) -> str:
        """Sorted set of the jobs that ended so: id by second of their end."""
        return f"{self.queue}:shelf:{status}"

    def workflow_rate(self, workflow: str) -> str:
        return f"{self.queue}:rate:{workflow}"

    @property
    def sending(self) -> str:
        return f"{self.queue}:sending"

    @property
    def workers(self) -> str:
        return f"{self.queue}:workers"

    @property
    def process_ids(self) -> str:
        """Hash: where each living worker lives, so that a neighbour can see whether its process is gone."""
        return f"{self.queue}:homes"

    @property
    def refused(self) -> str:
        """Set: workers whose configuration the vendor refuses."""
        return f"{self.queue}:refused"

    @property
    def troubles(self) -> str:
        """Hash: what keeps each worker from working, in words."""
        return f"{self.queue}:troubles"

    @property
    def routes(self) -> str:
        """Hash: of each worker, when its last attempt came through to the vendor, or since when none does."""
        return f"{self.queue}:routes"

    @property
    def last_polls(self) -> str:
        """Hash: when each worker last looked at the queue, in milliseconds since the epoch."""
        return f"{self.queue}:pulses"

    @property
    def waiting(self) -> str:
        return f"{self.queue}:waiting"

    @property
    def waiting_messages(self) -> str:
        return f"{self.queue}:waiting:messages"

    @property
    def dead_letter_messages(self) -> str:
        return f"{self.queue}:shelf:messages"

    @property
    def dead_letter_results(self) -> str:
        return f"{self.queue}:shelf:results"

    @property
    def counters(self) -> str:
        return f"{self.queue}:counters"

    @property
    def malformed(self) -> str:
        return f"{self.queue}:malformed"

    @property
    def breaker(self) -> str:
        return f"{self.queue}:brake"

    @property
    def adaptive_rate(self) -> str:
        return f"{self.queue}:pace"

    @property
    def rate(self) -> str:
        return f"{self.queue}:rate"

    @property
    def paused(self) -> str:
        return f"{self.queue}:paused"

    @property
    def decisions(self) -> str:
        """Stream: what operators decided about shelved jobs."""
        return f"{self.queue}:decisions"
