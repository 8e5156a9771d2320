"""File descriptors: how many a worker needs, how many it may have, and whether an error means there is none.

A worker that has too few goes on, but slowly and with errors that name its peers. So what it needs is asked
for at the start, and what it cannot get stops the start.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
from typing import Final

from tasks.exceptions import AigcError

EACH_JOB: Final = 2
"""For each job in flight: its connection to the vendor, and one that is being opened or closed beside it."""

BESIDE: Final = 64
"""Measured: about 20. Standard streams, the log, connections to Redis, what the loop waits at. And a reserve
for what is open for a moment: certificates, name resolution, the source of a traceback."""

_OUT: Final = (errno.EMFILE, errno.ENFILE)
_UNLIMITED: Final = resource.RLIM_INFINITY


class TooFew(AigcError):
    """The worker needs more than the system lets it have."""


FOLLOWING: Final = 80
"""For the 16 threads that follow tasks: each to Redis, the vendor, a file's host and the store."""


def needed(concurrency: int, *, follows: bool = False) -> int:
    """How many descriptors a worker of this concurrency may come to have open."""
    return BESIDE + EACH_JOB * concurrency + (FOLLOWING if follows else 0)


def reserve(concurrency: int, *, follows: bool = False) -> None:
    """See to it that this process may open as many as it needs: raise the soft limit, if need be.

    Raises:
        TooFew: the hard limit is below that; in words for an operator.
    """
    need = needed(concurrency, follows=follows)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _covers(soft, need):
        return
    if _covers(hard, need):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
            return
        except (ValueError, OSError):  # macOS has a limit beside the hard one
            hard = soft
    fits = (hard - needed(0, follows=follows)) // EACH_JOB
    advice = f"lower it to {fits} or less, or" if fits > 0 else "a worker of one job needs more, too:"
    raise TooFew(
        f"AIGC_CONCURRENCY={concurrency} needs {need} file descriptors, and this process may open no more"
        f" than {hard} (the hard limit, ulimit -Hn): {advice} raise the limit"
    )


def ran_out(error: BaseException) -> bool:
    """Whether an error, or one that led to it, says that no more file descriptors are to be had.

    Of a failed name resolution, which does not say so, whether there are none now.
    """
    found: list[BaseException | None] = [error]
    seen: set[int] = set()
    while found:
        each = found.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, OSError) and each.errno in _OUT:
            return True
        # A resolver that cannot open anything says "Name or service not known".
        if isinstance(each, socket.gaierror) and _none_left():
            return True
        # urllib3 and redis-py hand the cause on as an argument, too.
        found += [each.__cause__, each.__context__, *(a for a in each.args if isinstance(a, BaseException))]
    return False


def words() -> str:
    """What to say instead of such an error, which would name the peer that could not be reached."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = "" if soft == _UNLIMITED else f" (this process may have {soft} open, ulimit -n)"
    return f"this machine is out of file descriptors{limit}: raise the limit, or lower AIGC_CONCURRENCY"


def _none_left() -> bool:
    """A look that leaves nothing behind; where the standard input is closed it fails with another error."""
    try:
        os.close(os.dup(0))
    except OSError as error:
        return error.errno in _OUT
    return False


def _covers(limit: int, need: int) -> bool:
    return limit == _UNLIMITED or limit >= need
