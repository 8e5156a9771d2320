"""The services of one version beside its workers, and a shop that they serve."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import requests

from tests.conditions import PATIENCE_S
from tests.integration.webhook_endpoint import SECRET as FORWARD_SECRET
from tests.quick_python import quick_aigc
from tests.unit.services.events.signing import SECRET, product, shopify

ENDPOINT: Final = "shop"
"""The name of the shop's endpoint in Redis, wherever it listens."""

_EVENTS: Final = """
[shopify]
secret_files = ["secret"]
shops = ["test-shop.myshopify.com"]
mapping = "shopify"
debounce_s = 3600
"""
CATALOGUE: Final = Path(__file__).parents[1] / "data" / "shop" / "woocommerce_catalogue.csv"


class Commands:
    """The commands `aigc` of one version.

    Args:
        aigc: how it is called.
        environment: of its processes.
        directory: where they run.
    """

    def __init__(self, aigc: list[str], environment: Mapping[str, str], directory: Path) -> None:
        self._aigc, self._directory = aigc, directory
        self._environment = {**environment, "AIGC_FORWARD_SECRET": FORWARD_SECRET}

    def submit_catalogue(self) -> list[str]:
        """Ids of the jobs that a shop's export makes, whether they are new or not."""
        command = [*self._aigc, "submit", str(CATALOGUE), "--map", "woocommerce", "--shop", "s"]
        done = subprocess.run(command, env=self._environment, cwd=self._directory, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().split()

    def replay_failed(self, url: str) -> None:
        """Have what was given up sent again."""
        command = [*self._aigc, "forward", "--to", url, "--name", ENDPOINT, "replay", "--failed"]
        subprocess.run(command, env=self._environment, cwd=self._directory, check=True, capture_output=True)

    def fetch_all(self, store: str) -> None:
        """Have files kept that could not be."""
        own = {"AIGC_STORE_URL": store, "AIGC_FETCH_ALLOW": "127.0.0.0/8"}
        command = [*self._aigc, "task", "fetch", "--all"]
        subprocess.run(
            command, env=self._environment | own, cwd=self._directory, check=True, capture_output=True
        )

    @contextmanager
    def forwarding(self, url: str, *, kill: bool = False) -> Iterator[None]:
        """Results and outputs go to the shop's endpoint, for as long as the block."""
        arguments = ["forward", "--to", url, "--name", ENDPOINT, "--outputs"]
        with self._running(arguments, "are forwarded to", kill=kill):
            yield

    @contextmanager
    def taking_events(self, folder: Path) -> Iterator[Events]:
        """Product events of the shop are taken, for as long as the block."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "secret").write_text(f"{SECRET}\n")
        (folder / "EVENTS.toml").write_text(_EVENTS)
        arguments = ["events", "--config", str(folder / "EVENTS.toml"), "--port", "0"]
        with self._running(arguments, "http://127.0.0.1:") as ready:
            port = re.search(r"http://127\.0\.0\.1:(\d+)", ready)
            assert port, ready
            yield Events(int(port[1]))

    @contextmanager
    def _running(self, arguments: list[str], says: str, *, kill: bool = False) -> Iterator[str]:
        """A service that has said this, until the end of the block; the line in which it did."""
        process = subprocess.Popen(
            [*self._aigc, *arguments], env=self._environment, cwd=self._directory, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            ready = process.stdout.readline()
            assert says in ready, ready
            yield ready
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class Events:
    """A running `aigc events`."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/shopify"

    def send(self, event: int, number: int, picture: str) -> dict[str, Any]:
        """An event about the product of this number; what is answered."""
        source = f"https://cdn.shopify.example/{picture}.jpg"
        body = product(id=number, images=[{"id": 1, "src": source}])
        answer = requests.post(self._url, data=body, headers=shopify(body, event), timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document


def commands_of_this_version(environment: Mapping[str, str], directory: Path) -> Commands:
    """By forks, from wherever."""
    return Commands([quick_aigc()], environment, directory)
