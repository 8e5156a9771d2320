"""An S3 server on loopback: moto's, whose buckets outlive a restart of it within this process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.backends import get_backend
from moto.server import ThreadedMotoServer

from tests.ports import free_port

ENVIRON = {
    "AWS_ACCESS_KEY_ID": "an-id",
    "AWS_SECRET_ACCESS_KEY": "a-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}
"""What its clients need beside its address; any key will do."""


class S3Server:
    """Its buckets are looked at in its own memory, past the client that is tested."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: ThreadedMotoServer | None = None

    def start(self) -> None:
        """Begin to listen, at the same port each time; nothing to do if it does."""
        if self._server is not None:
            return
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.stop()
            assert self._server._server is not None
            self._server._server.server_close()
            self._server = None

    @property
    def _buckets(self) -> Any:
        return get_backend("s3")["123456789012"]["aws"].buckets

    def empty(self) -> None:
        """There is no bucket any more."""
        get_backend("s3").reset()

    def add_bucket(self, name: str) -> None:
        get_backend("s3")["123456789012"]["aws"].create_bucket(name, "us-east-1")

    def objects(self, bucket: str) -> dict[str, bytes]:
        """What is in a bucket, by key."""
        return {key: found.value for key, found in self._buckets[bucket].keys.items()}

    def content_type(self, bucket: str, key: str) -> str:
        return str(self._buckets[bucket].keys[key].metadata["content-type"])

    def uploads(self, bucket: str) -> int:
        """Multipart uploads that were begun and neither finished nor aborted: they cost money."""
        return len(self._buckets[bucket].multiparts)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """One that runs, with no bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = S3Server()
    server.empty()
    server.start()
    try:
        yield server
    finally:
        server.stop()
