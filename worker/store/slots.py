"""Wake a worker whose jobs wait for a slot in flight, when another one has freed it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

log = logging.getLogger(__name__)

ASK_AGAIN_S: Final = 1.0
"""Who waits asks again after so long at the latest: whoever does not is soon forgotten (lua/_slots.lua)."""

_PAUSE_S: Final = 0.5


class SlotWatcher:
    """Tells when it is time to claim again after a claim was answered ``full``.

    Whoever frees a slot leaves a mark in the list of the worker that has waited longest. One daemon thread,
    from the first `arm` on, waits for marks while it is armed; none while it is not.

    Args:
        client: a client of the queue's Redis.
        key_of: the name of this worker's own list, which changes with the worker's name.
        notify: called in that thread when a slot may be free, and every `ASK_AGAIN_S` besides. It must not
            block.
    """

    def __init__(self, client: Any, key_of: Callable[[], str], notify: Callable[[], None]) -> None:
        self._client = client
        self._key_of = key_of
        self._notify = notify
        self._armed = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def arm(self) -> None:
        """A claim was answered ``full``: notify of the next slot. Cheap, and may be repeated."""
        self._armed.set()
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._watch, name="slots", daemon=True)
                    self._thread.start()

    def disarm(self) -> None:
        """No job waits for a slot any more."""
        self._armed.clear()

    def _watch(self) -> None:
        while True:
            self._armed.wait()
            try:
                self._client.blpop([self._key_of()], timeout=ASK_AGAIN_S)
                if self._armed.is_set():
                    self._notify()
            except Exception:
                # Of whatever class: without this thread nobody would be woken any more.
                log.debug("waiting for a slot failed; it goes on", exc_info=True)
                time.sleep(_PAUSE_S)
