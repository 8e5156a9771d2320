"""What was found out about URLs, for a while. Not thread-safe."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

from worker.preflight.values import Fault

GOOD_FOR_S: Final = 600.0
CERTAIN_FOR_S: Final = 60.0
TRANSIENT_FOR_S: Final = 10.0
"""How long an answer holds: a picture that was mended is soon seen, and a good one is asked for once by all
jobs that have it."""

KNOWN_MOST: Final = 20_000


def digest_of(url: str) -> bytes:
    """What a URL is kept by: a long one must not take more room than a short one."""
    return hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class KnownFaults:
    """Bounded: what was not asked for the longest is forgotten first."""

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, tuple[Fault | None, float]] = OrderedDict()

    def get(self, digest: bytes, now: float) -> tuple[Fault | None] | None:
        """The fault, in a tuple; None where nothing is known. ``now`` on the clock of `note`."""
        found = self._found.get(digest)
        if found is None or now >= found[1]:
            return None
        self._found.move_to_end(digest)
        return (found[0],)

    def note(self, digest: bytes, fault: Fault | None, now: float) -> None:
        """This was found out."""
        good_for_s = GOOD_FOR_S if fault is None else CERTAIN_FOR_S if fault.certain else TRANSIENT_FOR_S
        self._found[digest] = fault, now + good_for_s
        self._found.move_to_end(digest)
        if len(self._found) > KNOWN_MOST:
            self._found.popitem(last=False)
