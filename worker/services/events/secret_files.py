"""Secrets, which are only ever in files: read at start, and again once a file changes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tasks.exceptions import AigcError
from worker.services.events.values import Secrets

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
_LONGEST_BYTES: Final = 65536


class SecretError(AigcError):
    """A file that holds no secret; the message names it and never what is in it."""


def read_secret(path: Path) -> str:
    """What is in the file, without its trailing newline.

    Raises:
        SecretError: it cannot be read, is empty, or is no text on one line.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_BYTES).decode()
    except OSError as error:
        raise SecretError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise SecretError(f"{path} must be UTF-8 text") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret.strip():
        raise SecretError(f"{path} must not be empty")
    if "\n" in secret or "\0" in secret:
        raise SecretError(f"{path} must hold one secret on one line: give a file to each")
    return secret


def is_readable_by_all(path: Path) -> bool:
    """Whether every user of this machine may read it."""
    return bool(path.stat().st_mode & 0o004)


class SecretFiles:
    """The secrets of a source, by shop; "" is any shop.

    A file that changes is read again within a second. One that cannot be read any more leaves the secrets as
    they were, and is told: a rotation that is halfway done must not refuse what a shop sends.

    Args:
        files: by shop; each has at least one.
        check: what is wrong with a secret, in words; "" where it can be right.

    Raises:
        SecretError: a file holds no secret.
    """

    def __init__(
        self,
        files: Mapping[str, Sequence[Path]],
        check: Callable[[str], str] = lambda _: "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files, self._check, self._clock = files, check, clock
        self._stamps = self._look()
        self._secrets = self._read()
        self._looked_at = clock()

    @property
    def paths(self) -> list[Path]:
        return [path for paths in self._files.values() for path in paths]

    def current(self) -> Secrets:
        """Those that are good now."""
        now = self._clock()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._renew()
        return self._secrets

    def _renew(self) -> None:
        stamps = self._look()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self._secrets = self._read()
        except SecretError as error:
            log.error("the secrets stay as they were: %s", error)
        else:
            log.warning("secrets were read again, for a file of them changed")

    def _read(self) -> Secrets:
        return {shop: tuple(self._checked(path) for path in paths) for shop, paths in self._files.items()}

    def _checked(self, path: Path) -> str:
        secret = read_secret(path)
        if problem := self._check(secret):
            raise SecretError(f"{path} {problem}")
        return secret

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in self.paths]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
