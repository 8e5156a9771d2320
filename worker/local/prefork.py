"""What the processes of a prefork pool, and the worker that has them, must know of each other."""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Callable
from typing import Final

_stop_mark: Final = mmap.mmap(-1, 1)
"""Shared with the processes of the pool, for it is made before they are forked: not 0 once their worker has
begun to stop."""

STOP_LOOK_S: Final = 0.25

_children_process = False
_is_child = False


def let_children_process() -> None:
    """This process only takes messages; its children process them."""
    global _children_process
    _children_process = True


def children_process() -> bool:
    """Whether this process leaves its messages to its children."""
    return _children_process


def note_child() -> None:
    """This is a process of a prefork pool."""
    global _children_process, _is_child
    _children_process, _is_child = False, True


def is_child() -> bool:
    """Whether this is a process of a prefork pool."""
    return _is_child


def stop_pool() -> None:
    """Let the processes of the pool begin to stop, too. Not for one of them that ends by itself."""
    _stop_mark[0] = 1


def stop_with_parent(stop: Callable[[], None]) -> None:
    """In a process of the pool: begin to stop when the worker does."""

    def watch() -> None:
        while not _stop_mark[0]:
            time.sleep(STOP_LOOK_S)
        stop()

    threading.Thread(target=watch, name="stop-with-parent", daemon=True).start()
