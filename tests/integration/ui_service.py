"""A running `aigc ui`, and what it answers."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.conditions import PATIENCE_S
from tests.quick_python import quick_aigc
from worker.config.settings import foreign_environ


def aigc_ui(*arguments: str) -> list[str]:
    """The command."""
    return [quick_aigc(), "ui", *arguments]


class UiService:
    """The process; its log is in the folder."""

    def __init__(self, redis_url: str, folder: Path, *arguments: str, **environ: str) -> None:
        self.log = folder / "ui.log"
        env = foreign_environ() | {"AIGC_REDIS_URL": redis_url, "AIGC_LOG_FORMAT": "json"} | environ
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                aigc_ui("--port", "0", *arguments), env=env, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        found = re.search(r"http://[^ ]+:(\d+)/metrics", ready)
        assert found, ready + self.log.read_text()
        self.url = f"http://127.0.0.1:{found[1]}"

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(f"{self.url}{path}", headers=headers, timeout=PATIENCE_S)

    def metrics(self) -> Metrics:
        answer = self.get("/metrics")
        assert answer.status_code == 200, answer.text
        return Metrics(answer.text)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def __enter__(self) -> UiService:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


Start = Callable[..., UiService]
"""Takes arguments of the command, and variables of its environment by name."""


@contextmanager
def services(redis_url: str, folder: Path, **always: str) -> Iterator[Start]:
    """What starts them, each with these variables beside its own; they end with the block."""
    with ExitStack() as stack:
        yield lambda *arguments, **environ: stack.enter_context(
            UiService(redis_url, folder, *arguments, **always | environ)
        )


class Metrics:
    """A scrape, read."""

    def __init__(self, text: str) -> None:
        families = text_string_to_metric_families(text)
        self.samples = [sample for family in families for sample in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """Of all samples of that name with these labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def by(self, name: str, label: str) -> dict[str, int]:
        """Whole numbers by a label, those that are not none."""
        values = {sample.labels[label] for sample in self.samples if sample.name == name}
        counted: dict[str, Any] = {value: int(self.sum(name, **{label: value})) for value in values}
        return {value: number for value, number in counted.items() if number}
