"""The beginning of a file at a customer's URL: as few bytes as it takes, and nothing of ours sent along."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from worker.fetching.addresses import Network
from worker.fetching.answers import Wants, fault_of, no_file, range_of, whole
from worker.fetching.request import Answer, asked
from worker.fetching.streams import Deadline, Forbidden
from worker.fetching.urls import Target, target_of
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
        deadline = Deadline(self._limits.total_s)
        ask = _Ask(self._allowed, self._trust, self._limits, deadline, wants, count_to)
        found = ask.following(url, _HEADERS, ranged=True)
        if isinstance(found, FetchFault) and found.status in _REFUSALS:
            found = ask.following(url, _PLAINEST, ranged=False)
        return found


@dataclass(frozen=True, slots=True)
class _Ask:
    """All requests that one call makes."""

    allowed: Sequence[Network]
    trust: ssl.SSLContext | None
    limits: Limits
    deadline: Deadline
    wants: Wants
    count_to: int

    def following(self, url: str, headers: Mapping[str, str], *, ranged: bool) -> Fetched | FetchFault:
        """Ask, and follow redirects, each checked as the first URL was."""
        target = target_of(url)
        for _ in range(self.limits.redirects + 1):
            if isinstance(target, FetchFault):
                return target
            try:
                found = self._in_parts(target, headers) if ranged else None
                found = self._whole(target, headers) if found is None else found
            except (OSError, http.client.HTTPException, ValueError, Forbidden) as error:
                return fault_of(error)
            if not isinstance(found, str):
                return found
            target = target_of(found, target.url)
        return FetchFault("certain", f"leads to more than {self.limits.redirects} redirects")

    def _in_parts(self, target: Target, headers: Mapping[str, str]) -> Fetched | FetchFault | str | None:
        """Ask for as much as is needed; None where the host does not give parts as they are asked for.

        A location, where it redirects.
        """
        head, least = b"", self.wants(b"")
        for _ in range(_REQUESTS_MOST):
            with self._asked(target, {**headers, "Range": f"bytes={len(head)}-{least - 1}"}) as answer:
                if (found := no_file(answer)) is not None:
                    return found
                if answer.status != http.client.PARTIAL_CONTENT:
                    return whole(answer, self.wants, self.count_to)
                start, size = range_of(answer)
                if start != len(head) or size is None:
                    return None
                part = answer.read(min(least, size) - len(head))
            head += part
            least = min(size, self.wants(head))
            if len(head) >= least:
                return Fetched(head, size, len(head) >= size)
            if not part:
                return None
        return None

    def _whole(self, target: Target, headers: Mapping[str, str]) -> Fetched | FetchFault | str:
        with self._asked(target, headers) as answer:
            found = no_file(answer)
            return whole(answer, self.wants, self.count_to) if found is None else found

    def _asked(self, target: Target, headers: Mapping[str, str]) -> AbstractContextManager[Answer]:
        return asked(
            target,
            headers,
            allowed=self.allowed,
            trust=self.trust,
            limits=self.limits,
            deadline=self.deadline,
        )
