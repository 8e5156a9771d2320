"""Ports for servers that a test starts."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PORTS: Final = range(15_000, 20_000)
"""Below the ports that kernels give to clients, and beside those of `worker.dev.embedded`."""

_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens; another one at each call of this process."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port


@contextmanager
def default_ports() -> Iterator[None]:
    """For one process of this machine at a time: the ports of programs that are told no other."""
    with Path(tempfile.gettempdir(), f"aigc-tests-default-ports-{os.getuid()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
