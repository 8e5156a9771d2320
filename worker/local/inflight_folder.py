"""The in-flight logs of this machine's workers, found by whoever looks for those of the dead.

A process holds a lock (flock) on its file for as long as it lives. The kernel takes the lock away with the
process, in whatever container that was, so a free lock is a certain death.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from worker.local import process_identity
from worker.local.inflight_log import LogContents, contents_of

log = logging.getLogger(__name__)


class LogFolder:
    """The files of the workers of one queue on this machine.

    Args:
        path: their folder; None where there is none that can be used.
        queue: what tells the queue from others, such as its Redis and its name.
        boot: this boot of this machine (`worker.local.process_identity`).
    """

    def __init__(self, path: Path | None, queue: str, boot: str) -> None:
        self.path = path
        self._prefix = f"in-flight-{sha256(queue.encode()).hexdigest()[:12]}-"
        self._boot = boot

    @classmethod
    def of_queue(cls, path: Path | None, redis_place: str, queue: str) -> LogFolder:
        """The folder as the workers of this queue on this boot of this machine name their files in it."""
        return cls(path, f"{redis_place} {queue}", process_identity.boot())

    def of(self, identity: str) -> Path | None:
        """The file of a process, by its identity; None where either is not known."""
        if self.path is None or not identity:
            return None
        return self.path / f"{self._prefix}{identity.replace('/', '-')}"

    def is_gone(self, identity: str) -> bool | None:
        """Whether the process is certainly gone; None where its file cannot say."""
        path = self.of(identity)
        if path is None or identity.partition("/")[0] != self._boot:
            return None
        try:
            with _locked(path) as descriptor:
                return descriptor is not None
        except OSError:
            return None

    def has_living(self) -> bool | None:
        """Whether a process that lives keeps a log here; None where nobody could keep one."""
        if self.path is None or not os.access(self.path, os.W_OK | os.X_OK):
            return None
        for path in self.path.glob(f"{self._prefix}*"):
            with contextlib.suppress(OSError), _locked(path) as descriptor:
                if descriptor is None:
                    return True
        return False

    def abandoned(self) -> list[Path]:
        """The files whose processes are gone."""
        found = []
        for path in self.path.glob(f"{self._prefix}*") if self.path else ():
            with contextlib.suppress(OSError), _locked(path) as descriptor:
                if descriptor is not None:
                    found.append(path)
        return found

    def read(self, path: Path) -> LogContents | None:
        """What a process that is gone had in flight; None where that cannot be known.

        Raises:
            OSError: it cannot be read now; what is in it is not lost.
        """
        try:
            with _opened(path) as descriptor:
                data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        except FileNotFoundError:
            return None
        return contents_of(data, this_boot=path.name.startswith(f"{self._prefix}{self._boot}-"))


def usable(wanted: Path, fallback: Callable[[], Path | str] | None) -> Path | None:
    """The folder that is wanted, made if need be; else the other one; None where neither can be used."""
    for choose in (lambda: wanted, fallback):
        if choose is None:
            continue
        try:
            folder = Path(choose())
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
            problem: object = f"{folder} is not writable"
        except OSError as error:
            problem = error
        log.warning("no in-flight log where it should be: %s (AIGC_STATE_DIR)", problem)
    return None


@contextmanager
def _locked(path: Path) -> Iterator[int | None]:
    """The file, locked within the block; None where somebody else holds the lock."""
    with _opened(path) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A file of ours; in a folder that others can write to, what has its name may be anything."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        yield descriptor
    finally:
        os.close(descriptor)
