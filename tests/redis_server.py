"""The embedded server, with a client at hand: what the fixtures of tests/conftest.py give."""

from __future__ import annotations

import redis

from worker.dev.embedded import EmbeddedRedis


class RedisServer(EmbeddedRedis):
    """`url`, `port`, `start()`, `kill()`, `stop()` of the product's class, and `client()`."""

    def __init__(self) -> None:
        super().__init__()
        self._clients: list[redis.Redis] = []

    def client(self) -> redis.Redis:
        """A new client whose replies are bytes; closed with the server, or by `close_clients`."""
        # Longer than redis-py's 5 s: a machine that is busy with other tests takes its time.
        client = redis.Redis.from_url(self.url, socket_timeout=30)
        self._clients.append(client)
        return client

    def close_clients(self) -> None:
        while self._clients:
            self._clients.pop().close()

    def stop(self) -> None:
        self.close_clients()
        super().stop()
