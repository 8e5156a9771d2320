"""The declared workflows of this process: read once, when the first payload is checked.

A file that changes while the process runs has no effect on it.
"""

from __future__ import annotations

import threading
from typing import Final

from ..settings import workflows_from_environ
from . import Declared


class _State:
    """`declared` is None until it was read."""

    declared: Declared | None = None


_state: Final = _State()
_lock: Final = threading.Lock()


def current() -> Declared:
    """The workflows that `configure` was given the file of, else those of `AIGC_WORKFLOWS_FILE`.

    Raises:
        SettingsError: a ValueError, naming what is wrong with the file. The next call reads it again.
    """
    found = _state.declared  # without the lock: each payload comes this way
    return _read() if found is None else found


def _read() -> Declared:
    with _lock:
        if _state.declared is None:
            _state.declared = workflows_from_environ()
        return _state.declared


def use(declared: Declared | None) -> None:
    """Have this process know these workflows; None: those of the environment, read when first needed."""
    with _lock:
        _state.declared = declared
