"""Standard input and output as a command finds them: closed, or going where there is no room."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Final

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What writing fails with where a disk is full."""


def open_what_is_closed() -> None:
    """Have standard input and output, after `>&-` too: empty, and kept by nobody.

    Otherwise the next file or connection would get such a number, and what is printed would go into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free: this one
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
            raw = io.FileIO(number, mode, closefd=False)
            raw.name = f"<{name}>"
            buffered = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
            setattr(sys, name, io.TextIOWrapper(buffered, encoding="utf-8"))


def is_of_output(error: BaseException) -> bool:
    """Whether it was printing that failed, and nothing else: the reader has gone, or the disk is full."""
    return isinstance(error, BrokenPipeError) or (isinstance(error, OSError) and error.errno in NO_ROOM)


def give_up() -> None:
    """What is still to be printed goes nowhere: the interpreter's own end would only fail at it once more."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.__stdout__.fileno() if sys.__stdout__ else 1)
    os.close(null)
