"""A worker's first attempt goes alone, and so does each after the vendor refused its configuration, or after
several in a row that did not come through to the vendor."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from worker.domain.outcome import OtherWorkers, Outcome, OutcomeKind
from worker.processing.flow_control import MISCONFIGURED, UNREACHABLE, FlowControl

PROBE_BASE_S, PROBE_CAP_S = 2.0, 60.0
"""Seconds between two probes of a vendor that this worker cannot use while others may: first, and most."""

LOST_IN_A_ROW: Final = 3
"""So many attempts in a row that did not come through are no chance any more."""

LOST_BASE_S, LOST_CAP_S = 0.25, 4.0
"""Seconds between two attempts that go alone and do not come through, as long as others may fail as well."""


class FirstAttemptGuard:
    """Lets one job be attempted at a time until the vendor's application has answered one. For one thread;
    any other may read it.

    With a wrong key every attempt fails alike: 32 jobs would learn it 32 times. Behind a broken proxy each
    one would leave a job in doubt.
    """

    def __init__(self, flow_control: FlowControl, clock: Callable[[], float] = time.monotonic) -> None:
        self._flow_control = flow_control
        self._clock = clock
        self._proven = False
        self._refusals = 0
        self._refusal = ""
        self.accepts = False
        """Whether the vendor has accepted a job of this worker since it last refused one for its
        configuration."""
        self._lost = 0
        self._probes = 0
        self._probe_at = float("-inf")
        self._detail = ""
        flow_control.narrow(MISCONFIGURED, True)

    @property
    def proven(self) -> bool:
        """Whether attempts need not go alone."""
        return self._proven

    @property
    def may_attempt(self) -> bool:
        """Whether an attempt may be made now, be it the only one at a time."""
        return self._proven or {MISCONFIGURED, UNREACHABLE}.isdisjoint(self._flow_control.reasons())

    @property
    def refusal(self) -> str:
        """What the vendor answered where it refused this worker's configuration the last time, else empty."""
        return self._refusal

    def trouble(self) -> str:
        """What keeps this worker's attempts from the vendor while others' come through; empty where none
        does."""
        return f"does not reach the vendor while other workers do: {self._detail}" if self._probes else ""

    def answered(self, outcome: Outcome) -> None:
        """Learn from an attempt that was made."""
        if outcome.kind is OutcomeKind.ACCEPTED:
            self.accepts = True
        if outcome.kind is OutcomeKind.MISCONFIGURED:
            self.accepts = False
            self._go_one_by_one()
        elif outcome.kind in (OutcomeKind.NOT_SENT, OutcomeKind.UNKNOWN) and not outcome.from_application:
            self._lost += 1
            self._detail = f"{outcome.error_code}: {outcome.error_msg}"
            if not self._proven:
                self._pause_a_little()
        else:
            self._lost = self._probes = 0
            if not self._proven:
                self._proven, self._refusals, self._refusal = True, 0, ""
                self._flow_control.narrow(MISCONFIGURED, False)
                self._flow_control.open(MISCONFIGURED)
                self._flow_control.open(UNREACHABLE)

    def pause(self, answer: str) -> bool:
        """The vendor refuses the configuration: close intake, longer each time; whether it is the first.

        Args:
            answer: what it said, for operators.
        """
        if MISCONFIGURED in self._flow_control.reasons():
            return False  # what was in flight together is one finding, not many
        self._refusals += 1
        self._refusal = answer
        self._flow_control.close(MISCONFIGURED, _pause_s(self._refusals))
        return self._refusals == 1

    def heard_of(self, others: OtherWorkers) -> bool:
        """Learn what is known of other workers, after an attempt that did not come through.

        Where none sends, it may be an outage, which the breaker is for. Else several in a row go on alone;
        and while others succeed, as a probe now and then.

        Returns:
            Whether this worker is found, for the first time in a row, not to reach a vendor that others
            reach.
        """
        if others is OtherWorkers.NONE or self._lost < (LOST_IN_A_ROW if self._proven else 1):
            return False
        if self._proven:
            self._go_one_by_one()
            self._pause_a_little()
        # What was in flight together is one finding, not many.
        if others is not OtherWorkers.SUCCEED or self._lost < LOST_IN_A_ROW or self._clock() < self._probe_at:
            return False
        self._probes += 1
        pause_s = _pause_s(self._probes)
        self._probe_at = self._clock() + pause_s
        self._flow_control.close(UNREACHABLE, pause_s)
        return self._probes == 1

    def _go_one_by_one(self) -> None:
        self._proven = False
        self._flow_control.narrow(MISCONFIGURED, True)

    def _pause_a_little(self) -> None:
        if UNREACHABLE not in self._flow_control.reasons():
            self._flow_control.close(UNREACHABLE, _pause_s(self._lost, LOST_BASE_S, LOST_CAP_S))


def _pause_s(times: int, base_s: float = PROBE_BASE_S, cap_s: float = PROBE_CAP_S) -> float:
    return min(cap_s, base_s * 2.0 ** min(times - 1, 10))
