"""GET of URLs that strangers gave: public addresses only, bounded bytes, bounded time.

Nothing of ours is sent along: no key, cookie, referer or credential; no proxy, variable or file of the
environment is heeded. What comes of it is a value, a `FetchFault` where it fails; nothing is raised.
"""

from __future__ import annotations

from worker.fetching.addresses import Network
from worker.fetching.fetcher import Fetcher
from worker.fetching.values import Fetched, FetchFault, Limits

__all__ = ["FetchFault", "Fetched", "Fetcher", "Limits", "Network"]
