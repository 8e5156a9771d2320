"""Makes the arena of a scenario: a Redis and a vendor of its own, and where it is asked for a disk."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from tests.chaos.arena import Arena
from tests.integration.stage import KEYS, Vendor
from tests.redis_server import RedisServer
from worker.dev.sandbox.server import running
from worker.dev.sandbox.state import Config


@contextmanager
def arena(rng: Random, *, gentle: bool = False, disk_mb: int | None = None, **config: Any) -> Iterator[Arena]:
    """An arena with a Redis and a vendor of its own.

    Args:
        gentle: nothing comes twice and no job fails for good, so that it is over sooner.
        disk_mb: Redis keeps its data on a disk of this size, where the system lets us make one.
        config: of the sandbox.
    """
    sandbox = Config(keys=[KEYS], seed=rng.randrange(2**31), **config)
    with _redis(disk_mb) as server, running(sandbox) as url:
        stage = Arena(server, Vendor(url), rng, gentle=gentle)
        try:
            yield stage
        finally:
            stage.close()


@contextmanager
def _redis(disk_mb: int | None) -> Iterator[RedisServer]:
    if disk_mb is None:
        with RedisServer() as server:
            yield server
        return
    usual = tempfile.gettempdir()
    with small_disk(disk_mb) as directory:
        tempfile.tempdir = directory
        try:
            server = RedisServer()
            server.start()
        finally:
            tempfile.tempdir = usual
        with server:
            yield server


@contextmanager
def small_disk(megabytes: int) -> Iterator[str]:
    """A directory on a disk of this size, or an ordinary one where mounting is not permitted."""
    with tempfile.TemporaryDirectory(prefix="aigc-disk-") as directory:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "aigc-chaos", directory]
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
        try:
            yield directory
        finally:
            if mounted:
                subprocess.run(["umount", directory], check=True)
