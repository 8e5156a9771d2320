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

_given: list[socket.socket] = []
"""Bound sockets that do not listen: as long as they are open no other process is given their ports."""


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens; another one at each call, of any process.

    On Linux a bound socket that does not listen stands in no server's way that sets SO_REUSEADDR, as all do.
    """
    for port in random.sample(_PORTS, k=len(_PORTS)):
        probe = socket.socket()
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probe.close()
            continue
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _given.append(probe)
        return port
    raise AssertionError(f"no port of {_PORTS} is free")


@contextmanager
def default_ports() -> Iterator[None]:
    """For one process of this machine at a time: the ports of programs that are told no other."""
    with Path(tempfile.gettempdir(), f"aigc-tests-default-ports-{os.getuid()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
