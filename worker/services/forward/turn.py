"""One turn of a forwarder that has the lease: answers, what to write, what to send, and the wait."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from worker.services.forward.backlog import Backlog, Item
from worker.services.forward.client import ATTEMPT_MAX_S
from worker.services.forward.clock import Clock, Stop
from worker.services.forward.health import Health
from worker.services.forward.intake import Intake
from worker.services.forward.senders import Senders
from worker.services.forward.settling import Settling
from worker.store.forward_state import Changes
from worker.store.forward_streams import ForwardStreams
from worker.store.forward_values import Stream
from worker.store.lease import Lease
from worker.store.redis_wait import Away

log = logging.getLogger(__name__)

MOST: Final = 10_000
"""Messages that are not finished; with more, no new ones are taken."""

MOST_IN_OUTAGE: Final = 100
LOOK_EVERY_MS: Final = 100
"""How often to look for news while there are attempts in flight."""

POSITION_EVERY_S: Final = 5.0


@dataclass(slots=True)
class Turn:
    """For one thread, while the lease is ours. Its methods raise `redis.RedisError` and `GroupLost`.

    Args:
        positions: says after which entries a group goes on that has to be made anew.
        start: where it begins where that is not known: "0" or "$".
    """

    streams: ForwardStreams
    intake: Intake
    backlog: Backlog
    health: Health
    settling: Settling
    senders: Senders
    lease: Lease
    clock: Clock
    stop: Stop
    positions: Callable[[], Mapping[Stream, str]]
    start: str
    _position_at: float = field(default=0.0, init=False)
    _is_behind: bool = field(default=False, init=False)
    is_group_lost: bool = field(default=False, init=False)
    """It is to be made anew, where it was."""
    _is_full_told: bool = field(default=False, init=False)
    _has_read_all: bool = field(default=False, init=False)

    @property
    def is_gone(self) -> bool:
        return self.settling.is_gone

    def is_idle(self) -> bool:
        """Whether all has been sent, but for what the endpoint does not take now."""
        if self.senders.in_flight or not (self.health.is_outage or self._has_read_all):
            return False
        due_ms = self.backlog.next_due_ms()
        return self.health.is_outage or due_ms is None or due_ms > self.clock.now_ms()

    def begin(self) -> None:
        """Take in what was taken before."""
        self.streams.open(self.positions(), self.start)
        self.intake.recover()

    def interrupted(self) -> None:
        """An answer of Redis's was lost, maybe with a page in it: that is pending now."""
        self._is_behind = True

    def once(self) -> None:
        """Do what there is to do, and wait a moment for more.

        Raises:
            LeaseLost: see there.
        """
        self._answered(0.0)
        self.lease.keep()
        self._keep_position()
        self.settling.tell(self.clock.now_ms())
        self.settling.flush()
        if self.is_group_lost:
            self.streams.open(self.positions(), "0")
            self.is_group_lost = False
            # What was read of the other stream with it, and not handed out yet, is pending.
            self._is_behind = True
        if self._is_behind:
            self.intake.recover()
            self._is_behind = False
        if not self.is_gone:
            self._send_all()
            self._wait()

    def end(self, within_s: float) -> None:
        """Wait for what is in flight, write it down, and let another have the lease."""
        until = time.monotonic() + ATTEMPT_MAX_S + within_s
        while self.senders.in_flight and time.monotonic() < until:
            self._answered(1.0)
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            with suppress(*Away):
                self.settling.flush()
                self.lease.release()
                return
            time.sleep(0.1)

    def end_without_lease(self) -> None:
        """The same, where another may be sending already: only what was delivered is said."""
        while self.senders.in_flight:
            self._answered(1.0)
        done = self.settling.changes
        self.settling.changes = Changes(
            done=done.done, finished_retries=done.finished_retries, failed=done.failed, counts=done.counts
        )
        with suppress(*Away):
            self.settling.flush()

    def _answered(self, wait_s: float) -> None:
        for item, answer in self.senders.answers(wait_s):
            self.settling.answered(item, answer, self.clock.now_ms())

    def _keep_position(self) -> None:
        """Now and then write down what is finished, for the case that the group is lost."""
        if time.monotonic() < self._position_at:
            return
        self._position_at = time.monotonic() + POSITION_EVERY_S
        for stream, position in self.intake.positions().items():
            self.settling.changes.state[f"position_{stream}"] = position

    def _send_all(self) -> None:
        now_ms = self.clock.now_ms()
        while self._may_send(now_ms):
            item = self._next(now_ms)
            if item is None:
                return
            try:
                webhook = self.intake.webhook(item)
            except BaseException:
                self.backlog.put_back(item, item.retry)
                raise
            if webhook is not None:
                self.senders.send(item, webhook)

    def _may_send(self, now_ms: int) -> bool:
        return (
            not self.senders.is_full
            and self.lease.left_s() > ATTEMPT_MAX_S
            and self.health.may_send(now_ms, self.senders.in_flight)
        )

    def _next(self, now_ms: int) -> Item | None:
        if self.health.is_outage:
            return self._probe()
        item = self.backlog.take(now_ms)
        if item is None and self._has_room():
            self._has_read_all = not self.intake.more()
            item = self.backlog.take(now_ms)
        return item

    def _has_room(self) -> bool:
        has_room = len(self.backlog) < MOST
        if not has_room and not self._is_full_told:
            log.error("%d messages wait to be sent again: no new ones are taken until there are fewer", MOST)
        self._is_full_told = not has_room
        return has_room

    def _probe(self) -> Item | None:
        if len(self.backlog) >= MOST_IN_OUTAGE:
            return self.backlog.take_probe(untried_only=False)
        item = self.backlog.take_probe(untried_only=True)
        if item is None:
            self.intake.more(1)
            item = self.backlog.take_probe(untried_only=False)
        return item

    def _wait(self) -> None:
        now_ms = self.clock.now_ms()
        due_ms = self.backlog.next_due_ms()
        wait_ms = 1000 if due_ms is None or self.health.is_outage else due_ms - now_ms
        wait_s = min(1.0, self.clock.seconds_of(max(wait_ms, self.health.wait_ms(now_ms), 1)))
        if self.senders.in_flight:
            can_send = not self.senders.is_full and self.health.may_send(now_ms, self.senders.in_flight)
            self._answered(min(wait_s, LOOK_EVERY_MS / 1000) if can_send else wait_s)
        elif self.health.is_outage or self.health.wait_ms(now_ms) or len(self.backlog) >= MOST:
            self.stop.sleep(wait_s)
        else:
            self.streams.wait(max(1, round(1000 * wait_s)))
