"""The in-flight log: what this process has sent and not settled, in a memory-mapped file that outlives it.

When a worker is killed, or has to stop while Redis refuses to settle, Redis knows which jobs it had
claimed, but not how far each had come. Who comes after it on the same machine reads it here: bytes had not
begun to leave (the job is as if untried), the vendor had accepted (the result is here, and is published), or
neither is known (the attempt is unresolved). Without the file all are unresolved: it only ever makes less of
the unknown.

A process holds a lock (flock) on its file for as long as it lives. The kernel takes the lock away with the
process, in whatever container that was, so a free lock is a certain death. Writing is a few stores into
memory for each attempt; the kernel keeps them when the process dies, not when the machine does: of an
earlier boot, what is said of an answer is true, and what is not said says nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import mmap
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

_MAGIC: Final = b"aigc in-flight log 2\n"
_ENTRY_BYTES: Final = 6144
_FREE, _SENT, _ANSWERED = 0, 1, 2
_INCOMPLETE_AT: Final = len(_MAGIC)
NO_ENTRY: Final = 0
"""The entry of an attempt that has none; the file's first one is its head."""

_ID_END: Final = 37
_LENGTH_END: Final = 41


@dataclass(frozen=True, slots=True)
class LogContents:
    """What a dead process had in flight, by request id; ``answered`` holds results as JSON.

    ``complete``: an attempt that is not among them had surely not begun to leave.
    """

    sent: frozenset[str]
    answered: dict[str, str]
    complete: bool


def forget(path: Path | None) -> None:
    """Remove the file of a dead process, once all in it is in Redis."""
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


class InflightLog:
    """The file of this process: one entry for each attempt in flight. Thread-safe.

    Without a file the log is in this process's own memory, and says so.

    Args:
        path: of the file, whose folder exists.
        most: attempts in flight at once. There are as many entries again, for those that are never settled.
    """

    def __init__(self, path: Path | None, most: int) -> None:
        self._path = path
        self._entries = 2 * most
        self._free = list(range(_ENTRY_BYTES, self._entries * _ENTRY_BYTES, _ENTRY_BYTES))
        self._lock = threading.Lock()
        self._forbidden = False
        self._descriptor, self._map = -1, mmap.mmap(-1, self._entries * _ENTRY_BYTES)
        if path is None:
            return
        try:
            self._descriptor, self._map = _create(path, self._entries * _ENTRY_BYTES)
        except OSError as error:
            log.warning("no in-flight log: %s; after a kill, all attempts in flight are unknown", error)

    @property
    def is_kept(self) -> bool:
        """Whether there is a file."""
        return self._descriptor >= 0

    def forbid(self) -> None:
        """Let nothing be sent any more: this process says goodbye, and others act on what they read here."""
        with self._lock:
            self._forbidden = True

    def sent(self, request_id: str) -> int | None:
        """The next thing that happens is that bytes of this attempt leave; None where they must not.

        Returns:
            The entry, for `answered` and `settled`.
        """
        with self._lock:
            if self._forbidden:
                return None
            if not self._free:
                self._map[_INCOMPLETE_AT] = 1
                return NO_ENTRY
            entry = self._free.pop()  # the one used last: its page is in memory already
            self._map[entry + 1 : entry + _ID_END] = request_id.encode("ascii")
            self._map[entry] = _SENT
            return entry

    def answered(self, entry: int, result_json: str) -> None:
        """The vendor accepted this attempt, and this is the result that follows."""
        if entry == NO_ENTRY:
            return
        mapped, data = self._map, _fitting(result_json)
        mapped[entry + _ID_END : entry + _LENGTH_END] = len(data).to_bytes(4, "big")
        mapped[entry + _LENGTH_END : entry + _LENGTH_END + len(data)] = data
        mapped[entry] = _ANSWERED

    def settled(self, entry: int) -> None:
        """Redis knows what became of this attempt."""
        if entry != NO_ENTRY:
            self._map[entry] = _FREE
            self._free.append(entry)

    def has(self, request_id: str) -> bool:
        """Whether bytes of this attempt may have left, and Redis does not know what became of it."""
        found = self.known()
        return not found.complete or request_id in found.sent or request_id in found.answered

    def known(self) -> LogContents:
        """What is in flight now; to be read once nothing is sent any more."""
        return _found(bytes(self._map), complete=not self._map[_INCOMPLETE_AT])

    def close(self, *, keep: bool = False) -> None:
        """Let go of the file, and remove it unless something in it is still worth knowing.

        Args:
            keep: claims of this process may stand; that nothing was sent under them is worth knowing.
        """
        if self._descriptor < 0:
            return
        if not keep and not any(self._map[i * _ENTRY_BYTES] for i in range(1, self._entries)):
            forget(self._path)
        # The map holds the descriptor, and with it the lock, as well; threads may still write to one.
        kept, self._map = self._map, mmap.mmap(-1, self._entries * _ENTRY_BYTES)
        kept.close()
        os.close(self._descriptor)
        self._descriptor = -1


def _fitting(result_json: str) -> bytes:
    """The result as bytes that fit a entry: what was paid for before what was only to be handed back."""
    room = _ENTRY_BYTES - _LENGTH_END
    if len(result_json) <= room:
        return result_json.encode()
    document = json.loads(result_json)
    for kept in (document, {**document, "metadata": {}}):  # without escapes, which may be much longer
        data = json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        if len(data) <= room:
            break
    return data


def contents_of(data: bytes, *, this_boot: bool) -> LogContents | None:
    """What the file of a process that is gone says, by its bytes; None where it is none of ours.

    Args:
        this_boot: whether it was written in this boot of the machine: only then is what is missing in it
            surely not sent.
    """
    if not data.startswith(_MAGIC):
        return None
    return _found(data, complete=this_boot and not data[_INCOMPLETE_AT])


def _found(data: bytes, *, complete: bool) -> LogContents:
    sent, answered = set(), {}
    for start in range(_ENTRY_BYTES, len(data), _ENTRY_BYTES):
        request_id = data[start + 1 : start + _ID_END].decode("ascii", "replace")
        length = int.from_bytes(data[start + _ID_END : start + _LENGTH_END], "big")
        if data[start] == _SENT:
            sent.add(request_id)
        elif data[start] == _ANSWERED:
            text = data[start + _LENGTH_END : start + _LENGTH_END + length]
            answered[request_id] = text.decode("utf-8", "surrogatepass")
    return LogContents(frozenset(sent), answered, complete)


def _create(path: Path, size: int) -> tuple[int, mmap.mmap]:
    """The new file, locked and mapped."""
    # Under another name until it is locked: a file that is found unlocked is a dead process's.
    new = path.with_name(f"new-{path.name}")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Reserved now: on a full disk, storing into a hole of the map would be a bus error.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.write(descriptor, bytes(size))
        mapped = mmap.mmap(descriptor, size)
        mapped[: len(_MAGIC)] = _MAGIC
        os.link(new, path)  # unlike a rename it never takes the place of another file
    except OSError:
        os.close(descriptor)
        raise
    finally:
        new.unlink(missing_ok=True)
    return descriptor, mapped
