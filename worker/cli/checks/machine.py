"""This machine: the folder of in-flight logs, file descriptors, the clock. Pure but for `state_folder`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tasks.frozen import value
from worker.cli.checks.finding import Finding, ok, warn, wrong
from worker.local import descriptors

LEAST_FREE: Final = 64 * 2**20
"""Bytes: in-flight logs stay below a megabyte each; a full disk takes more than them."""

CLOCK_WRONG_S: Final = 60.0
CLOCK_ODD_S: Final = 5.0


@value(frozen=True, slots=True)
class Folder:
    """A folder, or the nearest one above it that is there: whether it can be used, and its free bytes."""

    path: str
    problem: str
    free: int


def state_folder(path: str) -> Folder:
    """Look at a folder that a worker would make; nothing is made."""
    nearest = Path(path)
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    problem = ""
    if not nearest.is_dir():
        problem = f"{nearest} is no folder"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        problem = f"{nearest} cannot be written to by this user"
    try:
        free = os.statvfs(nearest).f_bavail * os.statvfs(nearest).f_frsize
    except OSError as error:
        return Folder(path, problem or f"{nearest}: {error.strerror}", 0)
    return Folder(path, problem, free)


def of_folder(folder: Folder) -> Iterator[Finding]:
    """Whether a worker can keep its in-flight log there."""
    if folder.problem:
        what = (
            f"AIGC_STATE_DIR: {folder.problem}: the system's temporary folder is used, and after a kill in a"
            " container what was in flight is unknown"
        )
        yield wrong("state-folder", what, "name a folder on a local disk that the worker's user may write to")
    elif folder.free < LEAST_FREE:
        what = f"AIGC_STATE_DIR: {folder.free // 2**20} MB are free at {folder.path}"
        yield warn("state-folder", what, "make room: a worker that starts then keeps no in-flight log")
    else:
        yield ok("state-folder", f"AIGC_STATE_DIR: {folder.path} can be used")


def of_descriptors(concurrency: int, follows: bool, hard: int) -> Iterator[Finding]:
    """Whether a worker would get as many as it needs.

    Args:
        hard: the hard limit of this process; -1 is none.
    """
    need = descriptors.needed(concurrency, follows=follows)
    if hard != -1 and hard < need:
        what = f"AIGC_CONCURRENCY={concurrency} needs {need} file descriptors, and the hard limit is {hard}"
        yield wrong("descriptors", what, "raise it (LimitNOFILE=, ulimits:), or lower the setting")
    else:
        yield ok("descriptors", f"{need} file descriptors, which a worker needs, may be opened")


def of_clock(whose: str, ahead_s: float) -> Finding:
    """Both as seconds since the epoch, so a time zone makes no difference."""
    side = "ahead of" if ahead_s > 0 else "behind"
    words = f"this machine's clock is {abs(ahead_s):.1f} s {side} that of {whose}"
    mend = "have a time service set both clocks (timedatectl set-ntp true)"
    if abs(ahead_s) >= CLOCK_WRONG_S:
        return wrong("clock", f"{words}: requests are signed with the time, and deadlines go by it", mend)
    if abs(ahead_s) >= CLOCK_ODD_S:
        return warn("clock", words, mend)
    return ok("clock", words)
