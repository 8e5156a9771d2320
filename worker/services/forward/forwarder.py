"""The loop of a forwarder: it waits for the endpoint's lease, then takes, sends, and writes down.

Whoever holds the lease is the only one that sends to the endpoint, so that each job's messages go in order.
An attempt is begun only while the lease lasts longer than an attempt can take.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from worker.services.forward.backlog import Backlog
from worker.services.forward.clock import Clock, Stop
from worker.services.forward.endpoint import Endpoint
from worker.services.forward.health import Health
from worker.services.forward.intake import Intake
from worker.services.forward.outage import Outage
from worker.services.forward.senders import Post, Senders
from worker.services.forward.settling import GONE, Settling
from worker.services.forward.turn import Turn
from worker.store.forward_group import GroupLost
from worker.store.forward_state import ForwardState, group_of
from worker.store.forward_streams import ForwardStreams
from worker.store.forward_values import Stream
from worker.store.keys import KeyNames
from worker.store.lease import Lease, LeaseLost
from worker.store.redis_wait import Away

log = logging.getLogger(__name__)

STANDBY_S: Final = 1.0
STOP_WITHIN_S: Final = 10.0
"""How long Redis may be away while the last answers are to be written."""


class EndReason(StrEnum):
    """Why a forwarder ended: told to stop, or nothing is left to send; by HTTP 410; or another forwards."""

    STOPPED = "stopped"
    GONE = "gone"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a forwarder is made of.

    Args:
        client: of Redis, for raw bytes.
        names: of the streams in Redis.
        read: which of them are forwarded.
        start: where a new group begins: "0" or "$".
        once: end when all has been sent, but for what the endpoint does not take now.
    """

    client: Any
    keys: KeyNames
    names: Mapping[Stream, str]
    read: tuple[Stream, ...]
    endpoint: Endpoint
    post: Post
    concurrency: int
    start: str
    once: bool = False


class Forwarder:
    """Forwards to one endpoint, for as long as it is not told to stop. `run` it in one thread."""

    def __init__(self, wiring: Wiring, stop: Stop, clock: Clock | None = None) -> None:
        self._wiring = wiring
        self._stop = stop
        self._clock = clock or Clock()
        name = wiring.endpoint.name
        self._state = ForwardState(wiring.client, wiring.keys, name, wiring.names)
        self._streams = ForwardStreams(wiring.client, wiring.names, group_of(name), wiring.read)
        self._lease = Lease(wiring.client, wiring.keys.forward_lease(name))
        self._senders = Senders(wiring.post, wiring.concurrency)
        self._outage = Outage(stop)
        self.left = 0
        """How many messages were taken and not finished, at its end."""

    def prepare(self, *, again: bool) -> bool:
        """Make the endpoint known and its group, waiting for Redis; False where it wants no more webhooks.

        Args:
            again: forget that it wanted none.
        """
        while not self._stop.is_asked:
            try:
                return self._prepare(again)
            except (*Away, GroupLost) as error:
                self._outage.after(error)
        return True

    def _prepare(self, again: bool) -> bool:
        state = self._state.load()
        if again and GONE in state:
            self._state.clear(GONE)
        elif GONE in state:
            return False
        self._register()
        self._streams.open(_positions(state), self._wiring.start)
        held = 0 if state or self._wiring.start != "0" else self._streams.held()
        if held:
            log.info("%d messages that were published before are sent first; --from-now leaves them", held)
        return True

    def _register(self) -> None:
        endpoint, streams = self._wiring.endpoint, list(self._wiring.read)
        self._state.register({"url": endpoint.shown, "is_whole": endpoint.is_whole, "streams": streams})

    def _positions(self) -> dict[Stream, str]:
        self._register()  # where Redis lost the group, it may have lost that as well
        return _positions(self._state.load())

    def run(self) -> EndReason:
        """Forward until told to stop, or until the endpoint answers that it wants no more."""
        is_told = False
        try:
            while not self._stop.is_asked:
                try:
                    if GONE in self._state.load():
                        return EndReason.GONE
                    if self._lease.acquire():
                        is_told = False
                        if self._forward():
                            return EndReason.GONE
                    elif self._wiring.once:
                        return EndReason.BUSY
                    elif not is_told:
                        is_told = True
                        log.info(
                            "another process forwards to %s; this one stands by", self._wiring.endpoint.shown
                        )
                    self._outage.is_over()
                    self._stop.sleep(STANDBY_S)
                except (*Away, GroupLost) as error:
                    self._outage.after(error)
            return EndReason.STOPPED
        finally:
            self._senders.close()

    def _forward(self) -> bool:
        """Forward while the lease is ours; True where the endpoint wants no more."""
        log.info("this process forwards to %s now", self._wiring.endpoint.shown)
        turn = self._turn(self._state.load())
        try:
            turn.begin()
            while not self._stop.is_asked and not turn.is_gone:
                try:
                    turn.once()
                    self._outage.is_over()
                    if self._wiring.once and turn.is_idle():
                        self._stop.ask()
                except GroupLost:
                    turn.is_group_lost = True
                except Away as error:
                    self._outage.after(error)
                    turn.interrupted()
        except LeaseLost:
            turn.end_without_lease()
            return False
        turn.end(STOP_WITHIN_S)
        self.left = len(turn.backlog)
        return turn.is_gone

    def _turn(self, state: Mapping[str, str]) -> Turn:
        wiring = self._wiring
        since = state.get("failing_since_ms")
        backlog, health = Backlog(), Health(int(since) if since else None, "told" in state)
        settling = Settling(wiring.endpoint, self._state, backlog, health)
        intake = Intake(self._streams, wiring.read, self._state, backlog, settling, self._clock)
        return Turn(
            streams=self._streams, intake=intake, backlog=backlog, health=health, settling=settling,
            senders=self._senders, lease=self._lease, clock=self._clock, stop=self._stop,
            positions=self._positions, start=wiring.start,
        )  # fmt: skip


def _positions(state: Mapping[str, str]) -> dict[Stream, str]:
    """After which entries the group goes on, should it have to be made anew."""
    streams: tuple[Stream, ...] = ("results", "outputs")
    return {stream: state[f"position_{stream}"] for stream in streams if f"position_{stream}" in state}
