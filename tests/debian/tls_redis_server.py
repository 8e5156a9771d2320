"""Debian's Redis 7.0, which speaks TLS and wants certificates of its clients, and its sentinel.

Debian's package `redis-tools` has the program: `redis-check-rdb` is the server under another name. Not the
package `redis-server`, which would start a service on this machine.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.conditions import until
from tests.ports import free_port
from worker.dev.embedded import tied_to_parent

FILES: Final = Path(__file__).parents[1] / "data" / "tls" / "private"
CA: Final = FILES / "ca.crt"
_PROGRAM: Final = "/usr/bin/redis-check-rdb"
# It is a server under the name of one only.
_AS_SERVER: Final = "import os, sys; os.execv(sys.argv[1], ['redis-server', *sys.argv[2:]])"


@contextmanager
def tls_redis(*settings: str) -> Iterator[int]:
    """A server that takes nothing but TLS, by clients whose certificates are of the CA; its port."""
    with _running(["--save", "", *settings]) as port:
        yield port


@contextmanager
def tls_sentinel(name: str, watched_port: int) -> Iterator[int]:
    """A sentinel that speaks TLS only, to whom it watches too; its port."""
    with tempfile.TemporaryDirectory(prefix="aigc-sentinel-") as folder:
        config = Path(folder, "sentinel.conf")
        config.write_text(f"dir {folder}\nsentinel monitor {name} 127.0.0.1 {watched_port} 1\n")
        with _running(["--tls-replication", "yes"], [str(config)], ["--sentinel"]) as port:
            yield port


@contextmanager
def _running(settings: Sequence[str], first: Sequence[str] = (), last: Sequence[str] = ()) -> Iterator[int]:
    assert Path(_PROGRAM).exists(), "apt-get install redis-tools"
    folder = tempfile.mkdtemp(prefix="aigc-redis-tls-")
    port = free_port()
    command = [
        *(sys.executable, "-I", "-S", "-c", _AS_SERVER, _PROGRAM, *first),
        *("--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--dir", folder),
        *("--tls-cert-file", str(FILES / "server.crt"), "--tls-key-file", str(FILES / "server.key")),
        *("--tls-ca-cert-file", str(CA), "--tls-auth-clients", "yes", *settings, *last),
    ]
    log = Path(folder, "log")
    with log.open("wb") as file:
        process = subprocess.Popen(
            tied_to_parent(command), stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=os.sep
        )

    def listens() -> bool:
        assert process.poll() is None, log.read_text()
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listens, "Debian's Redis")
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
