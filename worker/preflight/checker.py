"""The fault of one picture at a URL, found out by fetching its beginning."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.image_url import IMAGE_URL_RULE, malformed
from worker.fetching import Fetcher, FetchFault, Network
from worker.preflight.picture import LARGEST_BYTES, judge, wanted
from worker.preflight.values import Code, Fault


class Checker:
    """Thread-safe; keeps nothing.

    Args:
        allowed: networks beside the public internet that a URL may lead to.
    """

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._fetcher = Fetcher(allowed)

    def check(self, url: str) -> Fault | None:
        """What is wrong with the picture at a URL; None where nothing is that can be told. Blocks."""
        if words := malformed(url):
            return Fault(Code.UNREACHABLE, f"must be {IMAGE_URL_RULE}: {words}")
        found = self._fetcher.beginning(url, wanted, LARGEST_BYTES + 1)
        if isinstance(found, FetchFault):
            return _of(found)
        return judge(found.head, found.size, complete=found.complete)


def _of(fault: FetchFault) -> Fault:
    if fault.kind == "forbidden":
        return Fault(Code.FORBIDDEN_ADDRESS, fault.words)
    return Fault(Code.UNREACHABLE, fault.words, fault.kind == "certain", fault.of_host, fault.retry_after_s)
