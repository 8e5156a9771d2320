"""A worker's first attempt goes alone, and so does each after the vendor refused its configuration."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from worker.core.outcome import Kind
from worker.gate import MISCONFIGURED, Gate

PROBE_BASE_S, PROBE_CAP_S = 2.0, 60.0
"""Seconds between two probes of a vendor that refuses this worker's configuration: first, and most."""


class Alone:
    """Lets one thread attempt at a time until the vendor has answered one.

    With a wrong key every attempt fails alike: 32 threads would learn it 32 times.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._one = threading.Lock()
        self._proven = False
        self._streak = 0
        gate.narrow(MISCONFIGURED, True)

    @property
    def proven(self) -> bool:
        """Whether attempts need not go alone."""
        return self._proven

    @property
    def refused(self) -> bool:
        """Whether the vendor refused this worker's configuration the last time."""
        return self._streak > 0

    @contextmanager
    def until_answered(self) -> Iterator[bool]:
        """Enter, alone if need be; False where the attempt before found that none should be made now."""
        if not self._proven:
            with self._one:
                if not self._proven:
                    yield MISCONFIGURED not in self._gate.reasons()
                    return
        yield True

    def answered(self, kind: Kind) -> None:
        """Learn from an attempt that was made."""
        if kind is Kind.MISCONFIGURED:
            self._proven = False
            self._gate.narrow(MISCONFIGURED, True)
        elif kind is not Kind.NOT_SENT and not self._proven:
            self._proven, self._streak = True, 0
            self._gate.narrow(MISCONFIGURED, False)
            self._gate.open(MISCONFIGURED)

    def pause(self) -> bool:
        """Close the gate, longer each time in a row; whether this was the first time."""
        self._streak += 1
        self._gate.close(MISCONFIGURED, min(PROBE_CAP_S, PROBE_BASE_S * 2.0 ** min(self._streak - 1, 10)))
        return self._streak == 1
