"""A terminal of 80 columns, as a command sees it that a person runs."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

COLUMNS: Final = 80


class Terminal:
    """One end is a process's, ``end``; the other is read and written here."""

    def __init__(self, columns: int = COLUMNS) -> None:
        self._ours, self.end = pty.openpty()
        self._left = False
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        os.close(self._ours)

    def leave(self) -> None:
        """The processes that were started have it alone from now on: it ends with them."""
        if not self._left:
            self._left = True
            os.close(self.end)

    def become_controlling(self) -> None:
        """In a process of a new session: Ctrl-C on this terminal interrupts it."""
        fcntl.ioctl(self.end, termios.TIOCSCTTY, 0)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def read(self) -> str:
        """All that was shown, once the last process has left, with plain line ends."""
        shown = b""
        try:
            while part := os.read(self._ours, 65536):
                shown += part
        except OSError:
            pass  # how it ends on Linux
        return shown.decode().replace("\r\n", "\n")


def shown_by(
    command: list[str], environ: Mapping[str, str], *, typed: str = "", columns: int = COLUMNS
) -> str:
    """What a command shows whose input, output and errors are all one terminal's."""
    # What says of itself how wide the terminal is would be believed.
    env = {k: v for k, v in environ.items() if k not in ("COLUMNS", "LINES")} | {"TERM": "xterm-256color"}
    with Terminal(columns) as terminal:
        end = terminal.end
        process = subprocess.Popen(command, env=env, stdin=end, stdout=end, stderr=end)
        terminal.leave()
        if typed:
            terminal.type(typed)
        shown = terminal.read()
        process.wait(60)
    return shown
