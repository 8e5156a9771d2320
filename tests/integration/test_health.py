"""`aigc health`: an answer in time whatever Redis does, and never a worker restarted for Redis's sake."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tasks.redis_url import place_of
from tests.conditions import PATIENCE_S, until
from tests.integration.desk import KEYS, Desk
from tests.integration.stage import staged
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from worker.cli import health_check as module
from worker.local import process_identity
from worker.local.inflight_folder import LogFolder
from worker.local.inflight_log import InflightLog

STALE_MS = 60_000


@pytest.fixture
def server(own_redis_server: RedisServer) -> RedisServer:
    return own_redis_server


@pytest.fixture
def worker(server: RedisServer) -> Iterator[str]:
    """The name of a worker of this machine whose last look at the queue is old."""
    desk = Desk(server)
    looked = desk.redis.time()[0] * 1000 - STALE_MS
    desk.redis.hset(KEYS.last_polls, desk.registry.owner, looked)
    yield desk.registry.owner
    desk.close()


def health(url: str, **environ: str) -> tuple[int, str]:
    """The exit code and the words."""
    command = [quick_aigc(), "health"]
    env = os.environ | {"AIGC_REDIS_URL": url} | environ
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    return done.returncode, done.stdout + done.stderr


def test_a_worker_that_was_killed_does_not_consume(server: RedisServer, worker: str) -> None:
    """Whatever Redis still knows of it: its last look was a moment ago."""
    client: Any = server.client()
    client.hset(KEYS.last_polls, worker, client.time()[0] * 1000)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(PATIENCE_S)
    parts = process_identity.mine().split("/")
    client.hset(KEYS.identities, worker, "/".join([*parts[:3], str(child.pid), *parts[4:]]))
    assert health(server.url) == (1, "aigc: no worker of this machine consumes\n")


def test_a_password_that_is_missing_is_told(server: RedisServer, worker: str) -> None:
    """Redis is there, and says what it wants; a restart would not help a worker that lives here."""
    client: Any = server.client()
    client.config_set("requirepass", "secret")
    _, words = health(server.url)
    assert "Redis wants a password, and AIGC_REDIS_URL gives none" in words
    assert "is away" not in words


def test_a_worker_that_looks_is_healthy(server: RedisServer, worker: str) -> None:
    """Redis works, and the worker has just looked at the queue."""
    client: Any = server.client()
    client.hset(KEYS.last_polls, worker, client.time()[0] * 1000)
    assert health(server.url) == (0, "1 worker of this machine consumes\n")


def test_a_worker_that_does_not_look_is_not_healthy(server: RedisServer, worker: str) -> None:
    """Redis works, so it is the worker's fault; nothing was written by asking."""
    client: Any = server.client()
    before = {key: client.dump(key) for key in client.scan_iter()}
    code, words = health(server.url)
    assert (code, "has not looked at the queue for" in words) == (1, True), words
    assert {key: client.dump(key) for key in client.scan_iter()} == before


@pytest.mark.usefixtures("worker")
def test_a_last_look_that_comes_too_late_does_not_make_it_healthy(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine: what the looks before it found counts, for Redis has answered."""
    looks, checked = iter([True]), threading.Event()

    def only_once_in_time(*_: Any) -> list[str]:
        if not next(looks, False):
            checked.wait(PATIENCE_S)
        return []

    monkeypatch.setattr(module, "refusals", only_once_in_time)
    monkeypatch.setattr(module, "DEADLINE_S", 2.0)
    monkeypatch.setenv("AIGC_REDIS_URL", server.url)
    healthy, words = module.check()
    checked.set()
    assert (healthy, "has not looked at the queue" in words) == (False, True), words


def test_without_a_worker_nothing_is_healthy(server: RedisServer) -> None:
    """Told at once: there is nobody whose next beat could be waited for."""
    assert health(server.url) == (1, "aigc: no worker of this machine consumes\n")


def test_a_worker_of_a_redis_that_has_just_come_back_is_healthy(server: RedisServer, worker: str) -> None:
    """Its beats could not be written meanwhile: the next one is waited for."""
    client: Any = server.client()
    looked = client.time()[0] * 1000
    # A living worker's beat, once the check has seen the old one.
    script = f"redis.call('HSET', '{KEYS.last_polls}', '{worker}', '{looked}')"
    environ = os.environ | {"AIGC_REDIS_URL": server.url}
    with client.monitor() as monitor:
        process = subprocess.Popen([quick_aigc(), "health"], env=environ, stdout=subprocess.PIPE, text=True)
        for event in monitor.listen():
            if event["command"].startswith(f"HGETALL {KEYS.last_polls}"):
                break
        server.client().eval(script, 0)
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, "1 worker of this machine consumes\n")


@contextmanager
def _hung(server: RedisServer) -> Iterator[str]:
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield server.url
    finally:
        os.kill(server.pid, signal.SIGCONT)


@contextmanager
def _gone(server: RedisServer) -> Iterator[str]:
    server.kill()
    yield server.url


@contextmanager
def _never_connecting(server: RedisServer) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        for each in waiting:
            each.close()


@contextmanager
def _full(server: RedisServer) -> Iterator[str]:
    server.client().config_set("maxmemory", 1)
    yield server.url


@contextmanager
def _replica(server: RedisServer) -> Iterator[str]:
    server.client().replicaof("127.0.0.1", "1")
    yield server.url


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (_hung, "Redis has not answered"),
        (_never_connecting, "Redis has not answered"),
        (_gone, "Redis is away"),
        (_full, "Redis refuses writes (RPUSH aigc.high and"),
        (_replica, "READONLY"),
    ],
)
@pytest.mark.usefixtures("worker")
def test_a_redis_in_trouble_is_no_bad_health(
    server: RedisServer, trouble: Callable[[RedisServer], Any], words: str, tmp_path: Path
) -> None:
    """No restart of a worker would help, though it looks as if it had not looked at the queue."""
    with trouble(server) as url, _living(url, tmp_path):
        code, told = health(url, AIGC_STATE_DIR=str(tmp_path))
    assert (code, words in told) == (0, True), told
    assert "the worker waits for it" in told
    assert "has not looked" not in told


@contextmanager
def _living(url: str, folder: Path, queue: str = "aigc") -> Iterator[None]:
    """A worker of this Redis lives on this machine: its in-flight log is locked."""
    path = LogFolder.of_queue(folder, place_of(url), queue).of(process_identity.mine())
    log = InflightLog(path, most=1)
    yield
    log.close(keep=False)


@pytest.mark.parametrize(("trouble", "words"), [(_gone, "Redis is away"), (_full, "Redis refuses writes")])
def test_a_redis_that_no_worker_here_uses_is_bad_health(
    server: RedisServer, trouble: Callable[[RedisServer], Any], words: str, tmp_path: Path
) -> None:
    """Nobody waits for it: a wrong AIGC_REDIS_URL, say. A worker of another queue does not count."""
    with trouble(server) as url, _living(url, tmp_path, queue="another"), _living(f"{url}1", tmp_path):
        code, told = health(url, AIGC_STATE_DIR=str(tmp_path))
    assert (code, words in told) == (1, True), told
    assert f"no worker of this machine uses the queue aigc at {place_of(url)}" in told


def test_a_worker_that_died_while_redis_is_away_is_bad_health(server: RedisServer, tmp_path: Path) -> None:
    """Its in-flight log is left, but nobody holds the lock."""
    with _gone(server) as url:
        path = LogFolder.of_queue(tmp_path, place_of(url), "aigc").of(process_identity.mine())
        assert path
        path.write_bytes(b"")
        assert health(url, AIGC_STATE_DIR=str(tmp_path))[0] == 1


def test_where_no_log_can_be_kept_a_redis_that_is_away_is_no_bad_health(
    server: RedisServer, tmp_path: Path
) -> None:
    """Nothing says whether a worker lives here, and to restart one would help nobody."""
    nowhere = str(tmp_path / "not-there")
    with (
        _gone(server) as url,
        patch("tempfile.gettempdir", side_effect=FileNotFoundError),
        patch.dict(os.environ, {"AIGC_REDIS_URL": url, "AIGC_STATE_DIR": nowhere}),
    ):
        assert module.check() == (True, "Redis is away (ConnectionError); the worker waits for it")


def test_a_real_worker_is_known_while_redis_is_away(server: RedisServer) -> None:
    """By the health check of its own environment."""
    with staged(server) as stage:
        stage.worker()
        until(stage.living, "the worker")
        server.kill()
        code, told = health(server.url, AIGC_STATE_DIR=stage.directory)
    assert (code, "Redis is away" in told) == (0, True), told


def test_troubles_of_a_worker_are_told_and_are_no_bad_health(server: RedisServer, worker: str) -> None:
    """What somebody has to mend, and a restart would not."""
    client: Any = server.client()
    client.hset(KEYS.last_polls, worker, client.time()[0] * 1000)
    client.hset(KEYS.troubles, worker, "the disk is full")
    client.sadd(KEYS.refused, worker)
    code, words = health(server.url)
    assert code == 0
    assert "the disk is full" in words
    assert "the vendor refuses" in words
