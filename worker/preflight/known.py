"""What was found out about URLs, for a while. Not thread-safe."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

from worker.preflight.values import Fault

GOOD_FOR_S: Final = 600.0
CERTAIN_FOR_S: Final = 60.0
TRANSIENT_FOR_S: Final = (2.0, 60.0)
"""How long an answer holds: a picture that was mended is soon seen, and a good one is asked for once by all
jobs that have it. A transient one at first so long, each time in a row twice as long, and at most so long."""

RETRY_AFTER_MOST_S: Final = 600.0
"""Of a host that wants to be asked later than that, in seconds."""

KNOWN_MOST: Final = 20_000


def digest_of(url: str) -> bytes:
    """What a URL is kept by: a long one must not take more room than a short one."""
    return hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class KnownFaults:
    """Bounded: what was not asked for the longest is forgotten first."""

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, tuple[Fault | None, float, float]] = OrderedDict()

    def get(self, digest: bytes, now: float) -> tuple[Fault | None] | None:
        """The fault, in a tuple; None where nothing is known. ``now`` on the clock of `note`."""
        found = self._found.get(digest)
        if found is None or now >= found[1]:
            return None
        self._found.move_to_end(digest)
        return (found[0],)

    def note(self, digest: bytes, fault: Fault | None, now: float) -> None:
        """This was found out."""
        good_for_s = self._good_for_s(digest, fault)
        self._found[digest] = fault, now + good_for_s, good_for_s
        self._found.move_to_end(digest)
        if len(self._found) > KNOWN_MOST:
            self._found.popitem(last=False)

    def _good_for_s(self, digest: bytes, fault: Fault | None) -> float:
        if fault is None:
            return GOOD_FOR_S
        if fault.certain:
            return CERTAIN_FOR_S
        return max(self._transient_for_s(digest), min(fault.retry_after_s or 0.0, RETRY_AFTER_MOST_S))

    def _transient_for_s(self, digest: bytes) -> float:
        least_s, most_s = TRANSIENT_FOR_S
        before = self._found.get(digest)
        if before is None or before[0] is None or before[0].certain:
            return least_s
        return min(most_s, 2 * before[2])
