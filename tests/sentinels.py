"""A primary, two replicas and three sentinels that watch them: real servers, of the embedded binary."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import redis

from tests.ports import free_port
from tests.redis_server import RedisServer
from worker.dev.embedded import server_binary, tied_to_parent

PRIMARY: Final = "shop"
BOUND_S: Final = 90.0
"""How long is waited for what sentinels have to agree on."""


def until(condition: Any, what: str, seconds: float = BOUND_S) -> Any:
    """Wait until the condition gives something true; an error of Redis's counts as false."""
    end = time.monotonic() + seconds
    while True:
        try:
            if value := condition():
                return value
        except redis.RedisError:
            pass
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.02)


class Place(NamedTuple):
    """Of a sentinel."""

    port: int
    run_id: str


class Sentinel:
    """One sentinel process; `stop` ends it and removes its folder."""

    def __init__(
        self, own: Place, others: Sequence[Place], watched: Sequence[int], settings: Mapping[str, str]
    ) -> None:
        self.port = own.port
        self._folder = Path(tempfile.mkdtemp(prefix="aigc-sentinel-"))
        primary, *replicas = watched
        of_primary = {"down-after-milliseconds": "3000", "failover-timeout": "6000", "parallel-syncs": "2"}
        general = {name: value for name, value in settings.items() if not name.startswith("auth-")}
        of_primary |= {name: value for name, value in settings.items() if name.startswith("auth-")}
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self._folder}",
            f"sentinel myid {own.run_id}",
            f"sentinel monitor {PRIMARY} 127.0.0.1 {primary} 2",
            *(f"sentinel {name} {PRIMARY} {value}" for name, value in of_primary.items()),
            # As a sentinel writes it itself: to find each other anew takes them seconds.
            *(f"sentinel known-replica {PRIMARY} 127.0.0.1 {port}" for port in replicas),
            *(f"sentinel known-sentinel {PRIMARY} 127.0.0.1 {each.port} {each.run_id}" for each in others),
            *(f"{name} {value}" for name, value in general.items()),
        ]
        config = self._folder / "sentinel.conf"
        config.write_text("\n".join(lines) + "\n")
        with (self._folder / "sentinel.log").open("ab") as log:
            command = tied_to_parent([str(server_binary()), str(config), "--sentinel"])
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.client: Any = redis.Redis(
            port=self.port, password=settings.get("requirepass"), socket_timeout=30, decode_responses=True
        )

    def stop(self) -> None:
        self.client.close()
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class Watched:
    """Three servers and three sentinels. Also a context manager.

    Args:
        settings: of each server, such as ``requirepass``.
        of_sentinels: of each sentinel's file; ``auth-user`` and ``auth-pass`` are of the primary.
    """

    def __init__(
        self, settings: Mapping[str, str] | None = None, of_sentinels: Mapping[str, str] | None = None
    ) -> None:
        self._settings = dict(settings or {})
        self._of_sentinels = dict(of_sentinels or {})
        self._stack = ExitStack()
        self.servers: list[RedisServer] = []
        self.sentinels: list[Sentinel] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.servers = [stack.enter_context(RedisServer()) for _ in range(3)]
            for server in self.servers[1:]:
                client: Any = server.client()
                client.config_set("masterauth", self._settings.get("requirepass", ""))
                client.replicaof("127.0.0.1", self.servers[0].port)
            for server in self.servers:
                client = server.client()
                client.config_set("repl-diskless-sync-delay", 0)
                client.config_set("shutdown-timeout", 0)  # at its end it need not wait for a replica
                for name, value in self._settings.items():
                    client.config_set(name, value)
                client.config_set("masterauth", self._settings.get("requirepass", ""))
            places = [Place(free_port(), os.urandom(20).hex()) for _ in range(3)]
            watched = [server.port for server in self.servers]
            for own in places:
                others = [each for each in places if each is not own]
                self.sentinels.append(Sentinel(own, others, watched, self._of_sentinels))
                stack.callback(self.sentinels[-1].stop)
            until(self._is_complete, "the sentinels to know each other and both replicas")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def url(self, credentials: str = "", query: str = "", number: str = "") -> str:
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{credentials}{places}/{PRIMARY}{number}{query}"

    def celery_url(self) -> str:
        """The same as kombu writes it."""
        return ";".join(f"sentinel://127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)

    @property
    def primary(self) -> RedisServer:
        """The one that most sentinels name."""
        named = [sentinel.client.sentinel_get_master_addr_by_name(PRIMARY) for sentinel in self.sentinels]
        ports = [int(address[1]) for address in named]
        port = max(set(ports), key=ports.count)
        return next(server for server in self.servers if server.port == port)

    def client(self) -> Any:
        """Of the primary of now."""
        server = self.primary
        return redis.Redis(port=server.port, password=self._settings.get("requirepass"), socket_timeout=30)

    def replicated(self, client: Any) -> None:
        """Wait until both replicas have all that was written by anyone until now."""
        client.set("sentinels-test:mark", os.urandom(8))
        assert client.wait(2, round(BOUND_S * 1000)) == 2

    def fail_over(self, dead: RedisServer) -> RedisServer:
        """Wait until all sentinels name another one, and that says so itself; gives it."""

        def agreed() -> RedisServer | None:
            named = {
                int(sentinel.client.sentinel_get_master_addr_by_name(PRIMARY)[1])
                for sentinel in self.sentinels
            }
            if len(named) != 1 or dead.port in named:
                return None
            now = next(server for server in self.servers if server.port in named)
            return now if self.client().role()[0] == b"master" else None

        found: RedisServer = until(agreed, "the sentinels to name another primary")
        return found

    def _is_complete(self) -> bool:
        for sentinel in self.sentinels:
            known = sentinel.client.sentinel_master(PRIMARY)
            if (known["num-slaves"], known["num-other-sentinels"]) != (2, 2):
                return False
            replicas = sentinel.client.sentinel_slaves(PRIMARY)
            if {replica["master-link-status"] for replica in replicas} != {"ok"}:
                return False
        return True


@contextmanager
def watched(**settings: str) -> Iterator[Watched]:
    """Servers with these settings, such as ``requirepass``; the sentinels know the password."""
    password = settings.get("requirepass")
    with Watched(settings, {"auth-pass": password} if password else {}) as found:
        yield found
