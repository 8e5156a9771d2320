"""docker-compose.yml, read, and its services' commands, run on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.conditions import PATIENCE_S
from tests.integration.native import ROOT, SCRIPTS, quickly
from tests.ports import free_port
from tests.substitution import substituted

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


class Native:
    """Runs the services' commands on this machine, their hosts, ports and files replaced by local ones."""

    def __init__(self, redis_url: str, directory: Path) -> None:
        self._directory = directory
        self._sandbox_port = free_port()
        self.events_port = free_port()
        self.ui_port = free_port()
        self._replacements = {
            "${AIGC_REDIS_URL:-redis://redis:6379/0}": redis_url,
            "redis://redis:6379/": redis_url.rpartition("/")[0] + "/",
            "/var/lib/aigc-worker": str(directory),
            "8081": str(self._sandbox_port),
            "8091": str(self.events_port),
            "8090": str(self.ui_port),
            "0.0.0.0": "127.0.0.1",
            "/etc/aigc/": f"{directory}/",
            "/run/secrets/": f"{directory}/",
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def replace(self, there: str, here: str) -> None:
        """What a person would write into .env, for instance."""
        self._replacements[there] = here

    def service(self, name: str) -> dict[str, Any]:
        service: dict[str, Any] = json.loads(substituted(json.dumps(SERVICES[name]), self._replacements))
        return service

    def environment(self, name: str) -> dict[str, str]:
        own: dict[str, str] = self.service(name).get("environment", {})
        return {"PATH": os.pathsep.join([SCRIPTS, os.defpath]), "HOME": str(self._directory)} | own

    @property
    def sandbox_endpoint(self) -> str:
        return f"http://127.0.0.1:{self._sandbox_port}"

    @contextmanager
    def running(
        self, name: str, *, program: str | None = None, more: Sequence[str] = (), **extra: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run the service's command until the block ends; its output goes to a file of its name.

        Args:
            program: the image's own, which the command only has arguments for.
            more: arguments after those of the command.
            extra: variables over those of the service.
        """
        command = [*([program] if program else []), *self.service(name)["command"], *more]
        environment = self.environment(name) | extra
        with self.output(name).open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        self._processes[name] = process
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def output(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def healthy(self, name: str, **extra: str) -> bool:
        """Whether the service's health check passes."""
        command = self.service(name)["healthcheck"]["test"][1:]
        environment = self.environment(name) | extra
        done = subprocess.run(
            quickly(command), cwd=ROOT, env=environment, capture_output=True, timeout=PATIENCE_S
        )
        return done.returncode == 0

    def wait(self, name: str, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds of a running service; on failure show what it said."""
        until = time.monotonic() + PATIENCE_S
        while not condition():
            assert self._processes[name].poll() is None, self.output(name).read_text()
            assert time.monotonic() < until, self.output(name).read_text()
            time.sleep(0.05)
