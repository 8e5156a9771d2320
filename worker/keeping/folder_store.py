"""A store that is a folder of this machine, or of a network that is mounted like one.

Not by fsspec, whose files of this kind are written in place, or in the system's temporary folder and moved
from there: neither is atomic.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final

from worker.keeping.incoming import Incoming, StoreFault, fault_at

INCOMING: Final = ".aigc-incoming"
"""Folder within the store for files under way: on its file system, and out of the sight of its readers."""

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
"""How file systems say that they have no hard links."""

_TIDY_EVERY_S: Final = 600.0
_YOUNG_S: Final = 60.0
_OLD_S: Final = 86_400.0
_CHUNK: Final = 1024 * 1024


class FolderStore:
    """Thread-safe, and any number of processes may use one folder.

    Raises:
        OSError: the folder cannot be made, or nothing can be written to it.
    """

    def __init__(self, root: str) -> None:
        self._root = Path(root)
        self._incoming = self._root / INCOMING
        self._lock = Lock()
        self._tidied_at = -_TIDY_EVERY_S
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._write_some()

    def _write_some(self) -> None:
        path = self._incoming / f"{uuid.uuid4().hex}.part"
        try:
            path.write_bytes(b"probe")
        finally:
            path.unlink(missing_ok=True)

    def probe(self) -> None:
        """Write a few bytes, and remove them. Raises StoreFault."""
        try:
            self._write_some()
        except OSError as error:
            raise fault_at("the store", error) from error

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """A new file; what it is at the block's end without having been stored is removed.

        The folder for it is not made again: where it is missing, what was mounted here may be gone, and files
        would get onto another disk.
        """
        self._tidy_now_and_then()
        path = self._incoming / f"{uuid.uuid4().hex}.part"
        try:
            file = open(path, "xb")  # noqa: SIM115 - closed below, whatever that raises
        except FileNotFoundError:
            raise StoreFault(f"the store's folder has no {INCOMING} any more: is it mounted?") from None
        except OSError as error:
            raise fault_at("the store", error) from error
        incoming = Incoming(file, str(path), "the store")
        try:
            with suppress(OSError):  # a file system without locks: only very old files are removed there
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield incoming
        finally:
            incoming.close()
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def create(self, incoming: Incoming, name: str) -> bool:
        """Store it under this name; False where the name is taken. Raises StoreFault."""
        incoming.to_disk()
        target = self._root / name
        try:
            self._have_folder(target.parent)
            if not _named(incoming.path, target):
                return False
            _sync_folder(target.parent)
        except OSError as error:
            raise fault_at("the store", error) from error
        return True

    def replace(self, incoming: Incoming, name: str) -> None:
        """Store it under this name, in place of what has it. Raises StoreFault."""
        incoming.to_disk()
        target = self._root / name
        try:
            self._have_folder(target.parent)
            os.replace(incoming.path, target)
            _sync_folder(target.parent)
        except OSError as error:
            raise fault_at("the store", error) from error

    def holds(self, name: str, size: int, sha256: str) -> bool:
        """Whether what has this name is this file. Raises StoreFault."""
        target = self._root / name
        try:
            found = target.stat()
            if not stat.S_ISREG(found.st_mode) or found.st_size != size:
                return False
            digest = hashlib.sha256()
            with open(target, "rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise fault_at("the store", error) from error
        return digest.hexdigest() == sha256

    def location(self, name: str) -> str:
        """Its absolute path."""
        return str(self._root / name)

    def _have_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        while folder != self._root:
            folder = folder.parent
            _sync_folder(folder)

    def _tidy_now_and_then(self) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._tidied_at < _TIDY_EVERY_S:
                return
            self._tidied_at = now
        with suppress(OSError):
            for path in self._incoming.glob("*.part"):
                _remove_if_left(path)


def _named(path: str, target: Path) -> bool:
    """Give a file that name; False where the name is taken. A link is the one way that never replaces."""
    try:
        os.link(path, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            return False
        os.rename(path, target)
    return True


def _remove_if_left(path: Path) -> None:
    """Remove a file under way whose process is gone: nobody holds its lock.

    A young one stays, for it is locked only after it was made.
    """
    with suppress(OSError), open(path, "rb") as file:
        age_s = time.time() - os.fstat(file.fileno()).st_mtime
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:  # no locks here
            if age_s < _OLD_S:
                return
        if age_s > _YOUNG_S:
            path.unlink()


def _sync_folder(folder: Path) -> None:
    """Have its entries on the disk, so that a file is still there after a power failure."""
    with suppress(OSError):  # some file systems cannot
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
