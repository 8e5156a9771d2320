"""A worker's first attempt goes alone, and so does each after the vendor refused its configuration, or after
several in a row that did not come through to the vendor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from worker.core.outcome import Kind, Outcome
from worker.gate import CUT_OFF, MISCONFIGURED, Gate

PROBE_BASE_S, PROBE_CAP_S = 2.0, 60.0
"""Seconds between two probes of a vendor that this worker cannot use while others may: first, and most."""

LOST_IN_A_ROW: Final = 3
"""So many attempts in a row that did not come through are no chance any more."""

LOST_BASE_S, LOST_CAP_S = 0.25, 4.0
"""Seconds between two attempts after that, as long as others may fail as well: first, and most."""


class Alone:
    """Lets one thread attempt at a time until the vendor's application has answered one.

    With a wrong key every attempt fails alike: 32 threads would learn it 32 times. Behind a broken proxy each
    one would leave a job in doubt.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._one = threading.Lock()
        self._proven = False
        self._refusals = 0
        self._lost = 0
        self._probes = 0
        self._detail = ""
        gate.narrow(MISCONFIGURED, True)

    @property
    def proven(self) -> bool:
        """Whether attempts need not go alone."""
        return self._proven

    @property
    def refused(self) -> bool:
        """Whether the vendor refused this worker's configuration the last time."""
        return self._refusals > 0

    def trouble(self) -> str:
        """What keeps this worker's attempts from the vendor while others' come through; empty where none
        does."""
        return f"does not reach the vendor while other workers do: {self._detail}" if self._probes else ""

    @contextmanager
    def until_answered(self) -> Iterator[bool]:
        """Enter, alone if need be; False where the attempt before found that none should be made now."""
        if not self._proven:
            with self._one:
                if not self._proven:
                    yield not {MISCONFIGURED, CUT_OFF} & set(self._gate.reasons())
                    return
        yield True

    def answered(self, outcome: Outcome) -> None:
        """Learn from an attempt that was made."""
        if outcome.kind is Kind.MISCONFIGURED:
            self._go_alone()
        elif outcome.from_application or outcome.kind is Kind.THROTTLED:
            self._lost, self._probes = 0, 0
            if not self._proven:
                self._proven, self._refusals = True, 0
                self._gate.narrow(MISCONFIGURED, False)
                self._gate.open(MISCONFIGURED)
                self._gate.open(CUT_OFF)
        else:
            self._lost += 1
            self._detail = f"{outcome.error_code}: {outcome.error_msg}"
            if self._lost >= LOST_IN_A_ROW:
                self._go_alone()
                self._gate.close(CUT_OFF, _pause_s(self._lost - LOST_IN_A_ROW + 1, LOST_BASE_S, LOST_CAP_S))

    def pause(self) -> bool:
        """The vendor refuses the configuration: close the gate, longer each time; whether it is the first."""
        self._refusals += 1
        self._gate.close(MISCONFIGURED, _pause_s(self._refusals))
        return self._refusals == 1

    def others_succeed(self) -> bool:
        """Attempts of other workers came through since this one's do not: close the gate, longer each time.

        Returns:
            Whether it is the first time in a row.
        """
        if self._proven:
            return False  # too few to tell, or healed meanwhile
        self._probes += 1
        self._gate.close(CUT_OFF, _pause_s(self._probes))
        return self._probes == 1

    def _go_alone(self) -> None:
        self._proven = False
        self._gate.narrow(MISCONFIGURED, True)


def _pause_s(times: int, base_s: float = PROBE_BASE_S, cap_s: float = PROBE_CAP_S) -> float:
    return min(cap_s, base_s * 2.0 ** min(times - 1, 10))
