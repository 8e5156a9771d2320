"""What a fetch is bounded by, and what comes of it. Values only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

FaultKind = Literal["transient", "certain", "forbidden"]
"""Another time it may go well; it never will; it leads to where no request of ours may go."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one fetch, all its redirects and requests together; times in seconds.

    ``total_s`` is from the first connect on, ``silence_s`` how long nothing may come in
    between. A name that does not resolve takes as long as the system's resolver does, which nobody can
    bound.
    """

    total_s: float = 15.0
    connect_s: float = 5.0
    silence_s: float = math.inf
    redirects: int = 3
    head_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class FetchFault:
    """Why nothing was fetched, in words without the URL and without an address.

    ``status`` is the HTTP status that says so, if one does. ``of_host``: no answer of HTTP came, so other
    URLs of the host fail as well.
    """

    kind: FaultKind
    words: str
    status: int | None = None
    of_host: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """The beginning of a file.

    ``size`` in bytes, None where nobody says it; where it was counted, and not to the end, it is what was
    counted. ``complete``: ``head`` is the whole file.
    """

    head: bytes
    size: int | None
    complete: bool
