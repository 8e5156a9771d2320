"""A file at a URL of strangers, its beginning or all of it; nothing of ours is sent along."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from worker.fetching.addresses import Network
from worker.fetching.answers import Wants, no_file, range_of, whole
from worker.fetching.download import Sink, SinkFailed, received
from worker.fetching.redirects import following
from worker.fetching.request import Answer, asked
from worker.fetching.streams import Deadline
from worker.fetching.urls import Target
from worker.fetching.values import Fetched, FetchFault, Limits

_HEADERS: Final = {
    "User-Agent": "Mozilla/5.0 (compatible)",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_PLAINEST: Final = {**_HEADERS, "User-Agent": "curl/8.5.0"}
"""Who refuses the first way of asking is asked so once more, and without a Range."""

_REFUSALS: Final = frozenset({400, 403, 405, 406, 412, 416, 501})
_REQUESTS_MOST: Final = 8
"""Requests for further parts of one file."""


class Fetcher:
    """Fetches; thread-safe, and keeps nothing between two calls.

    Args:
        allowed: networks beside the public internet that a URL may lead to.
        trust: the certificates to trust; public authorities by default, whatever the environment says.
    """

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        trust: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._allowed = tuple(allowed)
        self._trust = trust
        self._limits = limits or Limits()

    def beginning(self, url: str, wants: Wants, count_to: int) -> Fetched | FetchFault:
        """As much of the file as `wants` asks for.

        Args:
            url: what a customer gave.
            wants: asked first with nothing, then with what came.
            count_to: a size that nobody says is counted, up to so many bytes.
        """
        ask = self._ask()
        found = ask.beginning(url, _HEADERS, wants, count_to, ranged=True)
        if isinstance(found, FetchFault) and found.status in _REFUSALS:
            found = ask.beginning(url, _PLAINEST, wants, count_to, ranged=False)
        return found

    def download(self, url: str, sink: Sink, most_bytes: int) -> int | FetchFault:
        """The whole file, handed to the sink piece by piece; its size in bytes, once all of it came.

        A file that breaks off is a fault, and so is one whose host does not say where it ends; what the
        sink took until then is to be thrown away.

        Args:
            url: where it is; the query of a signed one is a secret, and stands in no fault.
            sink: takes each piece. What it raises is raised here.
            most_bytes: a larger file is a certain fault; no more than this gets to the sink.
        """
        ask = self._ask()
        try:
            found = ask.download(url, _HEADERS, sink, most_bytes)
            if isinstance(found, FetchFault) and found.status in _REFUSALS:
                found = ask.download(url, _PLAINEST, sink, most_bytes)
        except SinkFailed as failed:
            raise failed.error from None
        return found

    def _ask(self) -> _Ask:
        return _Ask(self._allowed, self._trust, self._limits, Deadline(self._limits.total_s))


@dataclass(frozen=True, slots=True)
class _Ask:
    """All requests that one call makes."""

    allowed: Sequence[Network]
    trust: ssl.SSLContext | None
    limits: Limits
    deadline: Deadline

    def beginning(
        self, url: str, headers: Mapping[str, str], wants: Wants, count_to: int, *, ranged: bool
    ) -> Fetched | FetchFault:
        """Ask for a file's beginning: for parts of it first, where that is wanted."""

        def once(target: Target) -> Fetched | FetchFault | str:
            found = self._in_parts(target, headers, wants, count_to) if ranged else None
            if found is not None:
                return found
            with self._asked(target, headers) as answer:
                fault = no_file(answer)
                return whole(answer, wants, count_to) if fault is None else fault

        return following(url, self.limits.redirects, once)

    def download(self, url: str, headers: Mapping[str, str], sink: Sink, most_bytes: int) -> int | FetchFault:
        """Ask for a whole file. Raises SinkFailed."""

        def once(target: Target) -> int | FetchFault | str:
            with self._asked(target, headers) as answer:
                fault = no_file(answer)
                return received(answer, sink, most_bytes) if fault is None else fault

        return following(url, self.limits.redirects, once)

    def _in_parts(
        self, target: Target, headers: Mapping[str, str], wants: Wants, count_to: int
    ) -> Fetched | FetchFault | str | None:
        """Ask for as much as is needed; None where the host does not give parts as they are asked for.

        A location, where it redirects.
        """
        head, least = b"", wants(b"")
        for _ in range(_REQUESTS_MOST):
            with self._asked(target, {**headers, "Range": f"bytes={len(head)}-{least - 1}"}) as answer:
                if (found := no_file(answer)) is not None:
                    return found
                if answer.status != http.client.PARTIAL_CONTENT:
                    return whole(answer, wants, count_to)
                start, size = range_of(answer)
                if start != len(head) or size is None:
                    return None
                part = answer.read(min(least, size) - len(head))
            head += part
            least = min(size, wants(head))
            if len(head) >= least:
                return Fetched(head, size, len(head) >= size)
            if not part:
                return None
        return None

    def _asked(self, target: Target, headers: Mapping[str, str]) -> AbstractContextManager[Answer]:
        return asked(
            target,
            headers,
            allowed=self.allowed,
            trust=self.trust,
            limits=self.limits,
            deadline=self.deadline,
        )
