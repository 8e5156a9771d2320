"""Plays what the pipeline talks to, by a script; and takes on a pipeline among them by hand."""

from __future__ import annotations

import json
import socket
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, cast

import pytest

from tasks.envelope import InvalidJob, Job
from worker.domain.outcome import Failure, Outcome, OutcomeKind, Reply
from worker.domain.retry import Policy
from worker.domain.signing import Credentials
from worker.local.inflight_log import InflightLog
from worker.observability import Reporter
from worker.preflight.checks import Checks
from worker.processing import image_check, in_hand, network, pipeline, preparation, schedule, writes
from worker.processing.first_attempt import FirstAttemptGuard
from worker.processing.flow_control import FlowControl
from worker.processing.network import Link, Network
from worker.processing.pipeline import Pipeline
from worker.processing.settlement_guard import SettlementGuard
from worker.processing.surroundings import Surroundings
from worker.processing.values import Attempt, Disposition, Received, Run
from worker.store.jobs import ClaimRequest, JobStore
from worker.store.redis_wait import StoreClosed, Wait
from worker.store.slots import SlotWatcher
from worker.store.values import (
    Claim,
    ClaimVerdict,
    Decision,
    Delivery,
    Past,
    Reschedule,
    Settlement,
    WriteReply,
)
from worker.vendor import Client, Connection

CAT = {
    "workflow": "TEXT2IMAGE",
    "version": "1.0.0",
    "algoInput": {"inputText": "a cat", "width": 1024, "height": 1024},
}
OWNER = "me"
CLOCKED = (image_check, in_hand, network, pipeline, preparation, schedule, writes)
ROUNDS = 60
"""More rounds than any script here needs: who goes round more often spins."""

ACCEPTED = Reply(200, json.dumps({"success": True, "model": "task-1"}).encode())
SYS_ERROR = Reply(200, b'{"success":false,"errorCode":"INTCNN_COMMON_SYS_ERROR"}')
AUTH_ERROR = Reply(200, b'{"success":false,"errorCode":"INTCNN_COMMON_AUTH_CHECK_ERROR"}')
HTTP_ACCEPTED = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(ACCEPTED.body), ACCEPTED.body)


class Clock:
    """All clocks of the pipeline, which a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_800_000_000.0 + self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def installed(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        for module in CLOCKED:
            monkeypatch.setattr(module, "time", self)
        for module in (pipeline, writes):
            monkeypatch.setattr(module, "uptime", self.monotonic)
        return self


def claim_of(request: ClaimRequest, verdict: ClaimVerdict = ClaimVerdict.GO, **known: Any) -> Claim:
    """An answer to a claim."""
    nothing = {"attempts": 0, "uncounted": 0, "unresolved": False, "age_s": 0.0, "wait_s": 0.0, "excused": 0}
    return Claim(verdict=verdict, owner=OWNER, request_id=request.request_id, **{**nothing, **known})


class FakeWait:
    """Pauses of half a second; where the worker may not wait, none."""

    def __init__(self, store: FakeJobStore) -> None:
        self._store = store

    def pause_s(self, error: BaseException) -> float:
        if self._store.given_up:
            raise StoreClosed("test")
        return 0.5


class FakeJobStore:
    """Answers claims and decisions by a script, and keeps what it was told and asked.

    A script is a function; what it returns may be an exception, which then stands in the answer's place.
    """

    def __init__(self) -> None:
        self.claim: Callable[[ClaimRequest], Claim | Exception] = claim_of
        self.decide: Callable[[Decision], WriteReply | Exception] = settles
        self.own: dict[str, str] = {}
        self.last: Callable[[str], str | None] = lambda _: None
        self.records: dict[str, dict[str, Any]] = {}
        self.pasts: dict[str, Past] = {}
        self.given_up = False
        self.told: list[Any] = []
        self.asked: list[ClaimRequest] = []
        self.rounds = 0

    def write(
        self, decisions: Sequence[Decision], claims: Sequence[ClaimRequest] = ()
    ) -> tuple[list[WriteReply | Exception], list[Claim | Exception]]:
        self.rounds += 1
        self.told += decisions
        replies = [self.decide(each) for each in decisions]
        self.asked += claims
        return replies, [self.claim(each) for each in claims]

    def wait(self) -> Wait:
        return cast(Wait, FakeWait(self))

    def own_claim(self, job_id: str) -> str | None:
        return self.own.get(job_id)

    def last_request_id(self, job_id: str) -> str | None:
        return self.last(job_id)

    def past(self, job_id: str) -> Past | None:
        return self.pasts.get(job_id)

    def record(self, job_id: str) -> dict[str, Any]:
        return self.records.get(job_id, {})

    def told_of(self, kind: type) -> list[Any]:
        return [each for each in self.told if isinstance(each, kind)]


def settles(decision: Decision) -> WriteReply:
    """What Redis says to a decision, normally."""
    return WriteReply(
        {Settlement: "settled", Reschedule: "rescheduled"}.get(cast(Any, type(decision)), "done")
    )


class FakeSlots:
    """Whether the watcher for shared slots is armed."""

    def __init__(self) -> None:
        self.armed = False

    def arm(self) -> None:
        self.armed = True

    def disarm(self) -> None:
        self.armed = False


class FakeReporter(Reporter):
    """Keeps what it is told; ``fails`` names what cannot be told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.fails: set[str] = set()

    def _tell(self, what: str, of: str) -> None:
        self.told.append((what, of))
        if what in self.fails:
            raise RuntimeError(f"cannot tell {what}")

    def attempt_failed(self, job_id: str, *_: Any) -> None:
        self._tell("attempt failed", job_id)

    def job_ended(self, result: Any, outcome_kind: str | None = None) -> None:
        self._tell("ended", result.job_id)

    def submitted_again(self, job_id: str, state: str, next_step: str) -> None:
        self._tell("submitted again", job_id)

    def refusal(self, outcome: Outcome) -> str:
        self._tell("refusal", "")
        return "refused"

    def misconfigured(self, outcome: Outcome) -> None:
        self._tell("misconfigured", "")

    def paid_twice(self, result: Any) -> None:
        self._tell("paid twice", result.job_id)

    def unreachable(self, detail: str) -> None:
        self._tell("unreachable", "")

    def store_refuses(self, words: str, *, again: bool = False) -> None:
        self._tell("store refuses", words)

    def crashed(self, job_id: str) -> None:
        self._tell("crashed", job_id)


class FakeNetwork:
    """Requests that are out, answered by the test; it never waits, but says that it would have.

    ``opens``: what comes of connecting; None leaves it under way.
    """

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.opens: Link | None = None
        self.connecting = 0
        self.opened = 0
        self.out: list[tuple[tuple[Run, Attempt], Link, str]] = []
        self.known: list[tuple[tuple[Run, Attempt], Reply | Failure]] = []
        self.timeouts: list[float] = []
        self.failures_forgotten = 0
        self.woken = False
        self.usable = True
        self.fault: Exception | None = None

    @property
    def in_flight(self) -> int:
        return len(self.out) + len(self.known)

    @property
    def sent(self) -> list[str]:
        """The ids of the jobs that are out."""
        return [run.job.id for (run, _), _, _ in self.out]

    def link(self) -> Link | None:
        self.usable = True
        return self.links.pop(0) if self.links else None

    def is_usable(self, link: Link) -> bool:
        return isinstance(link, Failure) or self.usable

    def return_link(self, link: Link) -> None:
        self.links.append(link)

    def connect(self, wanted: int) -> None:
        for _ in range(wanted - self.connecting):
            self.opened += 1
            if self.opens is None:
                self.connecting += 1
            else:
                self.links.append(self.opens)

    def forget_failures(self) -> None:
        self.failures_forgotten += 1

    def wake(self) -> None:
        self.woken = True

    def send(self, request: tuple[Run, Attempt], link: Link, body: bytes, request_id: str) -> None:
        if isinstance(link, Failure):
            self.known.append((request, link))
        else:
            self.out.append((request, link, request_id))

    def answer(self, job_id: str, answer: Reply | Failure = ACCEPTED) -> None:
        """The vendor answers a job that is out."""
        one = next(each for each in self.out if each[0][0].job.id == job_id)
        self.out.remove(one)
        self.links.append(one[1])
        self.known.append((one[0], answer))

    def wait(self, timeout_s: float) -> list[tuple[tuple[Run, Attempt], Reply | Failure]]:
        self.timeouts.append(0.0 if self.known else max(0.0, timeout_s))
        if self.fault:
            raise self.fault
        found, self.known = self.known, []
        return found


LINK = cast(Connection, object())
"""What stands for an open connection, where nothing is sent."""


class Stage:
    """A pipeline whose clock, store, network and answers are the test's."""

    def __init__(
        self, clock: Clock, concurrency: int = 8, *, proven: bool = True, image_checks: Checks | None = None
    ) -> None:
        self.clock = clock
        self.store = FakeJobStore()
        self.network = FakeNetwork()
        self.network.opens = LINK
        self.reporter = FakeReporter()
        self.slots = FakeSlots()
        self.rejoined: list[str] = []
        self.around = surroundings(
            self.store, self.reporter, self.slots, clock, concurrency, self._rejoin, image_checks
        )
        if proven:
            self.around.first_attempt.answered(Outcome(OutcomeKind.ACCEPTED, from_application=True))
        self.pipeline = Pipeline(self.around, cast(Network[tuple[Run, Attempt]], self.network))
        self.done: dict[str, list[Disposition]] = defaultdict(list)

    def _rejoin(self, fenced: str) -> str:
        self.rejoined.append(fenced)
        return "a new name"

    def run(self, job: Job | InvalidJob | str, expires_s: float | None = None, tag: str = "1.7") -> Run:
        """A job in hand, of a message of its own."""
        if isinstance(job, str):
            job = Job(job, CAT)
        received = Received(f"{OWNER}/{tag}", 1, lambda _: None, self.done[job.id].append)
        return Run(job, Delivery(OWNER, tag, 1, expires_s), received)

    def receive(self, *jobs: Job | InvalidJob | str) -> None:
        for job in jobs:
            self.pipeline.receive(self.run(job))

    def settle(self) -> int:
        """Take all on until the thread would sleep; how often it went round for that."""
        for went in range(1, ROUNDS):
            self.pipeline.advance()
            answers_come = bool(self.network.known)
            self.pipeline.wait()
            if not answers_come and self.network.timeouts[-1] > 0:
                return went
        raise AssertionError("it spins")

    @property
    def sleeps_s(self) -> float:
        """For how long at most it would sleep now."""
        return self.network.timeouts[-1]

    def ended(self, job_id: str) -> Disposition | None:
        """What became of a job's message; None where nothing has yet."""
        found = self.done[job_id]
        assert len(found) < 2, "a message is done with once"
        return found[0] if found else None


def surroundings(
    store: FakeJobStore,
    reporter: FakeReporter,
    slots: FakeSlots,
    clock: Clock,
    concurrency: int = 8,
    rejoin: Callable[[str], str] = str,
    image_checks: Checks | None = None,
) -> Surroundings:
    """What the pipeline works with: fakes at its borders, and what is between them as it is."""
    flow_control = FlowControl(clock=clock.monotonic)
    return Surroundings(
        policy=Policy(),
        concurrency=concurrency,
        job_store=cast(JobStore, store),
        reporter=reporter,
        inflight=InflightLog(None, most=2 * concurrency),
        flow_control=flow_control,
        first_attempt=FirstAttemptGuard(flow_control, clock=clock.monotonic),
        guard=SettlementGuard(lambda: 0, list, reporter, clock.monotonic),
        slots=cast(SlotWatcher, slots),
        rejoin=rejoin,
        image_checks=image_checks,
        jitter=lambda: 0.5,
    )


class FakeClient(Client):
    """The real client over socket pairs: ``theirs`` are the vendor's ends, in the order of opening.

    ``opens``: makes what `connect` comes to.
    """

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", Credentials("key", "secret"))
        self.theirs: list[socket.socket] = []
        self._ours: list[Connection] = []
        self.opens: Callable[[], Link] = self.pair

    def connect(self) -> Link:
        return self.opens()

    def pair(self) -> Connection:
        """A new connection."""
        ours, theirs = socket.socketpair()
        theirs.settimeout(20.0)
        self.theirs.append(theirs)
        self._ours.append(Connection(ours))
        return self._ours[-1]

    def answer_on(self, connection: Connection) -> None:
        """The vendor accepts what was sent over this connection."""
        self.theirs[self._ours.index(connection)].sendall(HTTP_ACCEPTED)

    def close(self) -> None:
        super().close()
        for ours in self._ours:
            ours.close()
        for theirs in self.theirs:
            theirs.close()


class AtOnce(Executor):
    """Does at once what it is given, in the caller's thread; ``refuses`` as a pool does that is closed.

    ``queues``: as a pool that can start no thread, it refuses what it has queued, and does it later.
    """

    def __init__(self) -> None:
        self.refuses = False
        self.queues = False
        self.queued: list[Callable[[], Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.refuses:
            if self.queues:
                self.queued.append(lambda: fn(*args, **kwargs))
            raise RuntimeError("can't start new thread")
        fn(*args, **kwargs)
        return Future()
