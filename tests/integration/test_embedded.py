"""The embedded Redis: comes up, survives a crash with its data, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conditions import until
from tests.redis_server import RedisServer
from worker.dev.embedded import EmbeddedRedis, EmbeddedRedisError

_PARENT = """
import sys
from worker.dev.embedded import EmbeddedRedis
server = EmbeddedRedis()
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


class _OnlyPort(Sequence[int]):
    """A range of ports in which every choice is the same."""

    def __init__(self, port: int) -> None:
        self.start, self.stop = port, port + 1

    def __len__(self) -> int:
        return 200

    def __getitem__(self, index: Any) -> Any:
        if index >= len(self):
            raise IndexError
        return self.start


def _gone(pid: int) -> bool:
    """Whether the process has ended; a zombie that nobody reaps counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_data_and_port_survive_a_kill(own_redis_server: RedisServer) -> None:
    """What was written before SIGKILL is there again after start(), under the same URL."""
    url = own_redis_server.url
    own_redis_server.client().set("k", "v")
    own_redis_server.kill()
    own_redis_server.start()
    assert own_redis_server.url == url
    assert own_redis_server.client().get("k") == b"v"


def test_another_server_on_its_port_is_not_taken_for_it(own_redis_server: RedisServer) -> None:
    """Two test runs at once would empty each other's data, and a demo would show somebody else's jobs."""
    own_redis_server.kill()
    with EmbeddedRedis(port=own_redis_server.port), pytest.raises(EmbeddedRedisError, match="did not start"):
        own_redis_server.start()


def test_its_port_stays_its_own_while_it_is_down(
    own_redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other server that takes any free port is given it."""
    own_redis_server.kill()
    monkeypatch.setattr("worker.dev.embedded._PORTS", _OnlyPort(own_redis_server.port))
    with pytest.raises(EmbeddedRedisError, match="no free port"):
        EmbeddedRedis().start()
    monkeypatch.undo()
    own_redis_server.start()


def test_never_evicts_and_persists(own_redis_server: RedisServer) -> None:
    """The server refuses to evict and keeps an append-only file, as production is told to."""
    config = own_redis_server.client().config_get("maxmemory-policy", "appendonly", "appendfsync")
    assert config == {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec"}


def test_stop_leaves_no_process_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """stop() ends the process and removes its directory; a second stop() is harmless."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server = EmbeddedRedis()
    server.start()
    pid = server.pid
    assert pid is not None
    assert list(tmp_path.iterdir())
    server.stop()
    server.stop()
    assert _gone(pid)
    assert list(tmp_path.iterdir()) == []


def test_dies_with_its_parent(tmp_path: Path) -> None:
    """A parent killed with SIGKILL takes the server with it."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert not _gone(pid)
        parent.send_signal(signal.SIGKILL)
    until(lambda: _gone(pid), "the server to end with its parent")


def test_listens_where_it_is_told_to(own_redis_server: RedisServer) -> None:
    """A port of another Redis, which would answer in its place, is refused; once it is free it is taken."""
    port = own_redis_server.port
    with pytest.raises(EmbeddedRedisError, match=f"port {port} of 127.0.0.1 is in use"):
        EmbeddedRedis(port).start()
    own_redis_server.stop()
    with EmbeddedRedis(port) as server:
        assert (server.port, server.url) == (port, f"redis://127.0.0.1:{port}/0")


def test_refuses_another_thread_than_the_main_one() -> None:
    """Started from a side thread the server would die with that thread: a clear error instead."""
    errors: list[RuntimeError] = []

    def start() -> None:
        try:
            EmbeddedRedis().start()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert [str(error) for error in errors] == ["start the embedded Redis from the main thread"]
