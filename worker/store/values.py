"""What the store of jobs is asked with and answers: claims, deliveries, decisions, limits. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from tasks.envelope import Job
from tasks.frozen import value
from tasks.result import Result
from worker.domain.outcome import OtherWorkers, OutcomeKind


class ClaimVerdict(StrEnum):
    """What a claim was answered."""

    GO = "go"  # the job is yours: send it
    PROBE = "probe"  # the circuit breaker is open: send it, alone, to see whether the vendor is back
    WAIT = "wait"  # your slot comes later: claim again then
    FULL = "full"  # all slots in flight are taken
    BREAKER = "breaker"  # the vendor is down: give the job back
    REFUSING = "refusing"  # Redis refuses to settle some job: nothing may be bought; give the job back
    PAUSED = "paused"  # an operator paused the queue: give the job back
    BACKLOG = "backlog"  # only its own workflow must wait: put it aside, past the others
    CANCELLED = "cancelled"  # it was cancelled: end it
    SETTLED = "settled"  # it has ended already, or runs by a later message
    REPEATED = "repeated"  # it was bought, or may have been, and came again: publish its result again
    DELAYED = "delayed"  # it waits for its next attempt already
    BUSY = "busy"  # a living worker is sending it
    ORPHAN = "orphan"  # a worker died while sending it
    FENCED = "fenced"  # this worker was declared dead and needs a new name


@value(frozen=True, slots=True)
class Past:
    """What had become of a job before it was submitted again.

    ``state`` is that of its record, ``finished_s`` in epoch seconds, ``request_id`` its last attempt's.
    """

    state: str
    attempts: int
    possible_duplicate: bool
    finished_s: int
    task_id: str | None
    request_id: str | None


@value(frozen=True, slots=True)
class Claim:
    """The answer to a claim, with what is known of the job.

    ``refusals``: how often the vendor refused it alone, by a code that its page does not name.
    ``past``: the job had ended, and this message may be the same job submitted again; else None.
    """

    verdict: ClaimVerdict
    attempts: int
    uncounted: int
    unresolved: bool
    age_s: float
    wait_s: float
    excused: int
    owner: str
    request_id: str
    refusals: int = 0
    past: Past | None = None

    @property
    def granted(self) -> bool:
        """Whether the job may be sent."""
        return self.verdict is ClaimVerdict.GO or self.verdict is ClaimVerdict.PROBE


@value(frozen=True, slots=True)
class Delivery:
    """What holds a job's message while the job is worked on.

    ``tag`` names it among the unacked messages of ``owner``; it is empty for a job out of a batch, whose
    message carries others too. ``expires_s`` is the producer's own deadline, in seconds since the epoch.
    ``linked``: callbacks hang on the job, so that its end does not delete the message yet.
    """

    owner: str
    tag: str
    list_index: int
    expires_s: float | None = None
    linked: bool = False


@value(frozen=True, slots=True)
class SharedLimits:
    """Bounds that all workers share; 0 is none. Intervals in milliseconds between two posts.

    The breaker opens after ``breaker_after`` distinct jobs failed in a row as in an outage, or most of 20
    within ``breaker_window_ms``; then one job at a time probes, every ``probe_longest_ms`` at the latest.
    ``keep_s`` is for how long the record of an ended job is kept: a redelivery after that would be new.
    ``follow_ms`` is for how long the task of an accepted job is followed; 0: it is not. ``prices``: what
    a job of each workflow costs, in millionths, for the metrics.
    """

    max_inflight: int = 0
    interval_ms: float = 0.0
    workflow_interval_ms: tuple[tuple[str, float], ...] = ()
    breaker_after: int = 5
    breaker_window_ms: int = 30_000
    probe_longest_ms: int = 4_000
    probe_takes_ms: int = 40_000
    results_maxlen: int = 1_000_000
    keep_s: int = 604_800
    follow_ms: int = 0
    prices: tuple[tuple[str, int], ...] = ()

    def of_workflow(self, workflow: str) -> float:
        return next((ms for name, ms in self.workflow_interval_ms if name == workflow), 0.0)


@value(frozen=True, slots=True)
class Feedback:
    """What an attempt says beside the job's own fate.

    ``counted``: it counts as one. ``vendor_works``: None where it says nothing about that. ``orphan``: it
    was a dead worker's, and is decided about only if nobody else has. ``on_the_way``: it failed between this
    worker and the vendor's application, so it may be this worker's own trouble. ``cause``: what speaks
    against the vendor, in words.
    """

    counted: bool
    vendor_works: bool | None
    orphan: bool = False
    on_the_way: bool = False
    cause: str | None = None


@value(frozen=True, slots=True)
class WriteReply:
    """That Redis has what was decided of a job: its verdict on it, the first element of the script's reply.

    ``others``: what is known of other workers, after an attempt that failed on its way.
    """

    verdict: str
    others: OtherWorkers = OtherWorkers.NONE


@dataclass(slots=True)
class Settlement:
    """How a job ends.

    ``late``: the attempt was fenced, and is told all the same, because it was accepted.

    ``claim`` is None where no attempt was made; ``kind`` is what its last one was. ``answer``: the
    beginning of what the vendor's side answered, for a person, where it could not be understood. ``took_s``:
    from the post to that, None where it is not known.
    """

    job: Job
    delivery: Delivery
    claim: Claim | None
    result: Result
    kind: OutcomeKind
    feedback: Feedback
    answer: str | None = None
    late: bool = False
    took_s: float | None = None
    result_json: str = field(init=False)

    def __post_init__(self) -> None:
        self.result_json = self.result.to_json()


@value(frozen=True, slots=True)
class Reschedule:
    """A job that waits for its next attempt, with its history so far.

    ``throttled_s``: the vendor refused the post, for there were too many, and named so many seconds to wait
    (0: none). ``took_s``: from the post to its answer.
    ``refusals``: as in Claim. ``kind``: what the attempt turned out to be.
    """

    job: Job
    delivery: Delivery
    claim: Claim | None
    feedback: Feedback
    attempts: int
    uncounted: int
    unresolved: bool
    delay_s: float
    throttled_s: float | None = None
    refusals: int = 0
    took_s: float = 1.0
    kind: OutcomeKind | None = None


@value(frozen=True, slots=True)
class Postponement:
    """This delivery of a job waits, whatever the job's record says: another delivery may be in work.

    ``first_seen``: its record is to say since when it is known, for its message may not.
    """

    job: Job
    delivery: Delivery
    delay_s: float
    first_seen: bool = False


@value(frozen=True, slots=True)
class ToBacklog:
    """The job waits until its workflow may go on; the jobs of other workflows pass it."""

    job: Job
    delivery: Delivery
    workflow: str


@value(frozen=True, slots=True)
class Republication:
    """A job that was bought, or may have been, and was submitted again: its result is published once more."""

    job: Job
    delivery: Delivery
    result: Result


@value(frozen=True, slots=True)
class Withdrawal:
    """A claim is taken back under which surely nothing was sent."""

    job_id: str
    owner: str
    request_id: str


@value(frozen=True, slots=True)
class Acknowledgement:
    """A message is deleted of which all is done; named by holder and tag."""

    owner: str
    tag: str


@value(frozen=True, slots=True)
class Release:
    """Messages go back to where they are read next, of which nothing was done; the first one last."""

    owner: str
    tags: tuple[str, ...]


Decision = (
    Settlement
    | Reschedule
    | Postponement
    | ToBacklog
    | Republication
    | Withdrawal
    | Acknowledgement
    | Release
)
"""What `JobStore.write` writes down."""
