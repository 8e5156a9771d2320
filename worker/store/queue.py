"""Take messages off the queue's lists, hold them until they are done, put aside what is none.

A message is popped and recorded as held by this worker in one script, so it cannot fall between. What a
worker holds is given back by itself when it stops, by a neighbour when it dies.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from tasks.contract import ETA_MOST_DAYS
from tasks.envelope import Job
from tasks.result import of_queue
from tasks.times import utc_iso
from worker.domain.message import Malformed, Message, parse
from worker.domain.remarks import Remarks
from worker.domain.result import refusal_of
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.values import SharedLimits
from worker.store.workers import WorkerRegistry

log = logging.getLogger(__name__)

_TURNS = (0, 0, 0, 0, 1, 0, 0, 0, 0, 2)
"""Whose turn it is to be looked at first: urgent jobs mostly, but the others are never starved."""

_MALFORMED_KEPT = 10_000
_DAY_S = 86_400

LOOKS_EVERY_S = 10.0
"""A consumer whose loop has not come by for so long does not consume."""


class MessageQueue:
    """The queue's lists, seen by one worker process. Thread-safe, but for `take`, `room` and `looked_at`,
    which are the consumer's.

    Args:
        scripts: the scripts on the queue's Redis.
        registry: the name under which this process holds messages.
        wait_for_arrival: waits for a message to arrive; see :mod:`worker.store.arrivals`.
        room_made: set when few enough jobs are in hand to take some more at once.
        limits: of them, for how long results and records are kept.
    """

    def __init__(
        self,
        scripts: Scripts,
        keys: KeyNames,
        registry: WorkerRegistry,
        wait_for_arrival: Callable[[float], None],
        room_made: threading.Event,
        limits: SharedLimits | None = None,
    ) -> None:
        kept = limits or SharedLimits()
        self._limits_json = json.dumps({"results_maxlen": kept.results_maxlen, "keep_s": kept.keep_s})
        self._scripts = scripts
        self._keys = keys
        self._registry = registry
        self._wait_for_arrival = wait_for_arrival
        self._sequence = 0
        self._turn = itertools.cycle(_TURNS)
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}
        self._typical = 1
        self._suspects: set[str] = set()
        self._looked_at = float("-inf")
        self._room_made = room_made
        self._remarks = Remarks()
        self._jobs = 0
        self._low_water = 0

    def take(self, most: int) -> list[Message]:
        """At most so many messages, each with the delivery tag ``<owner>/<list index>.<sequence>``.

        Raises:
            redis.RedisError: Redis is away. What it may have given meanwhile is found by `recover`.
        """
        owner = self._registry.owner or self._registry.join()
        order = self._order()
        # Used up though the answer may be lost: a number that is used again would name two messages.
        first, self._sequence = self._sequence, self._sequence + most
        answer = self._scripts.run("take", owner, most, first, *order)
        if answer is None:
            self._registry.rejoin(owner)
            return []
        names = [f"{owner}/{tag.decode()}" for tag in answer[::2]]
        # All of them before any is read: what is held and not known here, `recover` gives back.
        with self._lock:
            self._held.update(dict.fromkeys(names, 1))
            self._jobs += len(names)
        taken = (self._read(name, raw) for name, raw in zip(names, answer[1::2], strict=True))
        return [message for message in taken if message is not None]

    def _read(self, name: str, raw: bytes) -> Message | None:
        """The message, or None where it was put aside or is due later."""
        try:
            message = parse(raw, name)
        except Malformed as error:
            self.quarantine(name, str(error), error.job)
            return None
        if message.remark and (often := self._remarks.due("stamp", time.monotonic())):
            others = f" ({often - 1} more since this was last said)" if often > 1 else ""
            log.warning("message %s: %s%s", message.job_id, message.remark, others)
        if message.due_s is not None and (delay_s := message.due_s - time.time()) > 0:
            if delay_s <= ETA_MOST_DAYS * _DAY_S:
                return None if self._delay(name, message, delay_s) else self._held_for_its_jobs(name, message)
            days = f"{delay_s / _DAY_S:.0f}"
            message = message.refused(f"eta: must be at most {ETA_MOST_DAYS} days ahead, got {days}")
        return self._held_for_its_jobs(name, message)

    def _held_for_its_jobs(self, name: str, message: Message) -> Message:
        with self._lock:
            self._held[name] = self._typical = message.jobs
            self._jobs += message.jobs - 1
        return message

    def _delay(self, name: str, message: Message, delay_s: float) -> bool:
        """Have the message wait for its ETA; False where its job was cancelled, and ends now."""
        # Celery would hold it in memory until then, and so would every worker it is redelivered to.
        owner, _, tag = name.partition("/")
        fact: dict[str, Any] = {
            "look_again": True,
            "eta": True,
            "tag": tag,
            "holder": owner,
            "list": tag.partition(".")[0],
        }
        fact["delay_ms"] = round(delay_s * 1000)
        if message.sent_ms is not None:
            fact["stamp"] = message.sent_ms
        verdict, *_ = self._scripts.insist("reschedule", message.job_id, b"", json.dumps(fact), b"", "{}")
        if verdict == b"cancelled":
            return False
        self.done(name)
        return True

    def show_up(self) -> None:
        """Let operators see this worker though it takes nothing yet."""
        self._registry.show_up()

    def looked_at(self) -> None:
        """The consumer's loop came by, whether or not there was room for a message."""
        self._looked_at = time.monotonic()

    def is_looked_at(self) -> bool:
        """Whether the consumer's loop comes by."""
        return time.monotonic() - self._looked_at < LOOKS_EVERY_S

    def wait(self, timeout: float) -> None:
        """Wait for a message to arrive, at most so many seconds."""
        self._wait_for_arrival(timeout)

    def done(self, name: str) -> None:
        """The message's jobs have ended or wait elsewhere, and its entry is gone already."""
        with self._lock:
            self._jobs -= self._held.pop(name, 0)
        self._tell()

    def acknowledge(self, name: str) -> None:
        """Delete the message; nothing to do where settling its job has done so."""
        with self._lock:
            held = name in self._held
        if held:
            owner, _, tag = name.partition("/")
            self._scripts.insist("acknowledge", owner, tag)
            self.done(name)

    def give_back(self, name: str) -> None:
        """Put the message back to where it is read next."""
        owner, _, tag = name.partition("/")
        self._scripts.insist("release", owner, tag)
        self.done(name)

    def quarantine(self, name: str, reason: str, job: Job | None = None) -> None:
        """Move a message that is none to where an operator finds it.

        Args:
            job: the one of which it was to be the message. It ends as `rejected`, unless anything else is
                known of a job of its id.
        """
        owner, _, tag = name.partition("/")
        whose = f" of job {job.id}" if job else ""
        log.error("a malformed message%s was put aside: %s (`aigc failed list --malformed`)", whose, reason)
        told = json.dumps({"at": utc_iso(), "reason": reason})
        job_id, result = "", ""
        batch: tuple[str, ...] = ()
        if job:
            refusal = refusal_of(job, "AIGC_MALFORMED_MESSAGE", reason, time.time())
            job_id, result = job.id, of_queue(refusal.to_json(), self._keys.queue)
            batch = (job.batch, refusal.workflow) if job.batch is not None else ()
        self._scripts.insist(
            "quarantine", owner, tag, told, _MALFORMED_KEPT, job_id, result, self._limits_json, *batch
        )
        self.done(name)

    def recover(self) -> int:
        """Give back what Redis holds for this process but the process does not know of.

        That happens when the reply to `take` is lost. Only entries with a sequence number below the ones
        in use a while ago are looked at, so a take under way is not mistaken for a lost one.
        """
        owner = self._registry.owner
        with self._lock:
            known = {name.partition("/")[2] for name in self._held if name.startswith(f"{owner}/")}
        stored = {tag.decode() for tag in self._scripts.client.hkeys(self._keys.unacked(owner))}
        suspects = stored - known
        lost, self._suspects = suspects & self._suspects, suspects
        if not lost:
            return 0
        return int(self._scripts.run("release", owner, *sorted(lost)))

    def jobs_in_hand(self) -> int:
        """Jobs of the messages that this process holds, less those that are done."""
        return self._jobs

    def room(self, most: int, bound: int | None) -> int:
        """How many messages to take now.

        Args:
            most: jobs to have in hand at most.
            bound: how many more jobs to take at most; None where nothing but ``most`` bounds them.
        """
        self._low_water = most - max(1, most // 4)
        jobs = most - self._jobs
        if bound is not None:
            jobs = min(jobs, bound)
        elif self._jobs > self._low_water:
            return 0  # rather some at once, a little later: a round trip for each would cost more than a job
        return -(-max(0, jobs) // self._typical)  # by the last message that was read

    def job_done(self, name: str) -> None:
        """One job of the message has ended or waits elsewhere; others of it may be in work."""
        with self._lock:
            if self._held.get(name):
                self._held[name] -= 1
                self._jobs -= 1
        self._tell()

    def _tell(self) -> None:
        if self._jobs <= self._low_water:
            self._room_made.set()

    def _order(self) -> list[int]:
        order = list(range(len(self._keys.lists)))
        turn = next(self._turn)
        first = {0: 0, 1: 1, 2: len(order) - 1}[turn]
        order.remove(first)
        return [first, *order]
