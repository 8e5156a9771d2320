"""From a URL to what it brings, by way of its redirects: each is checked as the first URL was."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import TypeVar

from worker.fetching.answers import fault_of
from worker.fetching.streams import Forbidden
from worker.fetching.urls import Target, target_of
from worker.fetching.values import FetchFault

T = TypeVar("T")


def following(url: str, redirects: int, once: Callable[[Target], T | FetchFault | str]) -> T | FetchFault:
    """Ask, and follow so many redirects.

    Args:
        once: makes one request; gives what came of it, or the location of a redirect.
    """
    target = target_of(url)
    for _ in range(redirects + 1):
        if isinstance(target, FetchFault):
            return target
        try:
            found = once(target)
        except (OSError, http.client.HTTPException, ValueError, Forbidden) as error:
            return fault_of(error)
        if not isinstance(found, str):
            return found
        target = target_of(found, target.url)
    return FetchFault("certain", f"leads to more than {redirects} redirects")
