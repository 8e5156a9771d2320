"""Whether this very input was submitted before: jobs without an id in it would be bought a second time.

A mark in Redis says so, for a week. It only warns: it is left out where Redis does not take it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from typing import BinaryIO, Final

from tasks import broker
from tasks.clients import reported
from tasks.exceptions import BrokerUnavailable
from tasks.times import utc_iso
from worker.cli.pipe import Pipe

_KEPT_S: Final = 7 * 86_400
_PART_BYTES: Final = 1_000_000
_DEDUPED: Final = " --dedupe"
"""Behind the time: it was submitted so, once at least, and the ids of its content are known."""


class HashedInput:
    """An input that is read once from here to its end, and what it was.

    A file is hashed before it is read; of a pipe the content is only known once it was read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._read = hashlib.sha256()
        self._digest = _digest_of(file)
        self._pipe = Pipe(file) if self._digest is None else None
        self._file = self._pipe or file
        self._marked = False

    def readline(self, size: int) -> bytes:
        return self._noted(self._file.readline(size))

    def read(self) -> bytes:
        return self._noted(self._file.read())

    def is_idle(self, within_s: float) -> bool:
        """Whether a pipe has nothing more to give for now."""
        return self._pipe is not None and self._pipe.is_idle(within_s)

    def _noted(self, content: bytes) -> bytes:
        if self._digest is None:
            self._read.update(content)
        return content

    @property
    def is_known(self) -> bool:
        """Whether its content is known before it is read."""
        return self._digest is not None

    def submitted_at(self, *, dedupe: bool) -> str | None:
        """When it was submitted last, ISO 8601; None where that is not known, or makes no second purchase.

        With ``dedupe`` it is none once it was submitted so: after a time without, its jobs have other ids.
        """
        found = self._mark()
        return None if dedupe and found.endswith(_DEDUPED) else found.removesuffix(_DEDUPED) or None

    def mark(self, *, dedupe: bool) -> None:
        """Note that it was submitted now; the first call counts."""
        if not self._marked:
            self._marked = True
            deduped = _DEDUPED if dedupe or self._mark().endswith(_DEDUPED) else ""
            with suppress(BrokerUnavailable), reported():
                broker.redis_client().set(self._key(), utc_iso(precision="seconds") + deduped, ex=_KEPT_S)

    def _mark(self) -> str:
        with suppress(BrokerUnavailable), reported():
            found = broker.redis_client().get(self._key())
            if isinstance(found, bytes):
                return found.decode("ascii", "replace")
        return ""

    def _key(self) -> str:
        digest = self._digest or self._read.hexdigest()
        return f"{broker.settings().queue}:dedupe:input:{digest}"


def _digest_of(file: BinaryIO) -> str | None:
    """Of a regular file from where it stands; it is left standing there."""
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return None
    begin, digest = file.tell(), hashlib.sha256()
    while part := file.read(_PART_BYTES):
        digest.update(part)
    file.seek(begin)
    return digest.hexdigest()
