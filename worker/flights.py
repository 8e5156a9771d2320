"""What this process has in the air, in a memory-mapped file that outlives it.

When a worker is killed, the journal knows which jobs it had claimed, but not how far each had come. A
neighbour on the same machine can read it here: bytes had not begun to leave (the job is as if untried), the
vendor had answered (the result is here, and is published), or neither is known (the attempt is unresolved).
Without the file, or from another machine, all are unresolved: it only ever makes less of the unknown.

Writing is a few stores into memory for each attempt. The kernel keeps them when the process dies, not when
the machine does; then the boot id in the home tells.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

_MAGIC: Final = b"aigc flights 1\n"
_SLOT: Final = 6144
_FREE, _SENT, _ANSWERED = 0, 1, 2
_NOWHERE: Final = 0
"""The flight of an attempt that there is no slot for; the file's first slot is its head."""

_ID_END: Final = 37
_LENGTH_END: Final = 41


@dataclass(frozen=True, slots=True)
class Found:
    """What a dead process had in the air, by request id; ``answered`` holds results as JSON."""

    sent: frozenset[str]
    answered: dict[str, str]


def path_of(home: str) -> Path:
    """The file of a process, by its home (`worker.homes`)."""
    return Path(tempfile.gettempdir(), f"aigc-flights-{home.replace('/', '-')}")


class Flights:
    """The file of this process: one slot for each attempt that is in the air.

    Without a place for the file, or with more abandoned flights than slots, it is switched off and says so.

    Args:
        most: attempts in the air at once. There are as many slots again, for flights that never land.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._slots = 2 * most
        self._free = list(range(_SLOT, self._slots * _SLOT, _SLOT))
        self._lock = threading.Lock()
        self._grounded = False
        self._map: mmap.mmap | None = None
        try:
            self._map = _create(path, self._slots)
        except OSError as error:
            log.warning("no file for flights (%s): attempts of a killed worker will all be unknown", error)

    def ground(self) -> None:
        """Let nothing take off any more: this process says goodbye, and others act on what they read here."""
        with self._lock:
            self._grounded = True

    def takes_off(self, request_id: str) -> int | None:
        """The next thing that happens is that bytes of this attempt leave; None where they must not.

        Returns:
            The flight, for `answered` and `landed`. One that never lands (a fault of ours) keeps its slot.
        """
        with self._lock:
            return None if self._grounded else self._note(request_id)

    def _note(self, request_id: str) -> int:
        if self._map is None:
            return _NOWHERE
        if not self._free:
            self._switch_off()
            return _NOWHERE
        flight = self._free.pop()  # the one used last: its page is in memory already
        self._map[flight + 1 : flight + _ID_END] = request_id.encode("ascii")
        self._map[flight] = _SENT
        return flight

    def answered(self, flight: int, result: str) -> None:
        """The vendor accepted this attempt, and this is the result that follows."""
        data, mapped = result.encode(), self._map
        if mapped is None or flight == _NOWHERE or len(data) > _SLOT - _LENGTH_END:
            return
        mapped[flight + _ID_END : flight + _LENGTH_END] = len(data).to_bytes(4, "big")
        mapped[flight + _LENGTH_END : flight + _LENGTH_END + len(data)] = data
        mapped[flight] = _ANSWERED

    def landed(self, flight: int) -> None:
        """The journal knows what became of this attempt."""
        mapped = self._map
        if mapped is not None and flight != _NOWHERE:
            mapped[flight] = _FREE
            self._free.append(flight)

    def close(self) -> None:
        """Remove the file, unless something in it is still worth knowing."""
        if self._map is not None and not any(self._map[i * _SLOT] for i in range(1, self._slots)):
            self._switch_off()

    def _switch_off(self) -> None:
        self._map = None
        self._path.unlink(missing_ok=True)


def read(path: Path) -> Found | None:
    """What a dead process had in the air; None where that cannot be known."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if not data.startswith(_MAGIC):
        return None
    sent, answered = set(), {}
    for start in range(_SLOT, len(data), _SLOT):
        request_id = data[start + 1 : start + _ID_END].decode("ascii", "replace")
        length = int.from_bytes(data[start + _ID_END : start + _LENGTH_END], "big")
        if data[start] == _SENT:
            sent.add(request_id)
        elif data[start] == _ANSWERED:
            answered[request_id] = data[start + _LENGTH_END : start + _LENGTH_END + length].decode()
    return Found(frozenset(sent), answered)


def forget(path: Path) -> None:
    """Remove the file of a dead process, once all in it is in the journal."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _create(path: Path, slots: int) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        # Reserved now: on a full disk, storing into a hole of the map would be a bus error.
        os.posix_fallocate(descriptor, 0, slots * _SLOT)
        mapped = mmap.mmap(descriptor, slots * _SLOT)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    mapped[: len(_MAGIC)] = _MAGIC
    return mapped
