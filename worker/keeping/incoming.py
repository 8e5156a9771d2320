"""A file under way: what has come of it lies on this machine until it is whole."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from typing import BinaryIO, Final

from tasks.exceptions import AigcError
from worker.keeping.media_types import MediaType, media_type_of

_WORDS: Final = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "is full",
    errno.EFBIG: "takes no file as large as this",
    errno.EROFS: "can be read only",
}


class StoreFault(AigcError):
    """The store does not take or give a file now, in words; another time it may."""


def fault_at(place: str, error: OSError) -> StoreFault:
    """What a file system's error at that place comes to."""
    reason = error.strerror or type(error).__name__
    words = _WORDS.get(error.errno or 0, "cannot be used")
    return StoreFault(f"{place} {words} ({reason})")


class Incoming:
    """What has come of a file, with its size, its digest and what it is.

    Args:
        file: opened for writing; it is another's to close and remove.
        path: its name on this machine.
        place: what it lies in, in words.
    """

    def __init__(self, file: BinaryIO, path: str, place: str) -> None:
        self._file = file
        self._place = place
        self._sha256 = hashlib.sha256()
        self.path = path
        self.size = 0
        self.media_type: MediaType | None = None
        """None until something came."""

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def write(self, piece: bytes) -> None:
        """Add the next piece, which is not empty; the first one says what the file is.

        Raises:
            NoMedia: it is no picture and no clip.
            StoreFault: there is no room for it, or it cannot be written.
        """
        if self.media_type is None:
            self.media_type = media_type_of(piece)
        self._sha256.update(piece)
        self.size += len(piece)
        try:
            self._file.write(piece)
        except OSError as error:
            raise fault_at(self._place, error) from error

    def to_disk(self) -> None:
        """Have all of it on the disk. Raises StoreFault."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise fault_at(self._place, error) from error

    def flush(self) -> None:
        """Have whoever opens it by its name read all of it. Raises StoreFault."""
        try:
            self._file.flush()
        except OSError as error:
            raise fault_at(self._place, error) from error

    def close(self) -> None:
        with suppress(OSError):  # what could not be written yet is not wanted any more
            self._file.close()
