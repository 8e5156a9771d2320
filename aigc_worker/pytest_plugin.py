"""pytest's fixtures for programs that queue jobs: `aigc_jobs` and `aigc_sandbox`.

pytest imports this in each of its runs, so it imports nothing but what pytest has imported already, and
nothing by the names `tasks` and `worker`, which many programs have for modules of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tasks.testing import CapturedJobs


@pytest.fixture
def aigc_jobs() -> Iterator[CapturedJobs]:
    """What the test's program submits: captured instead of queued, no Redis; see `tasks.testing`."""
    with import_module("aigc.testing").capture() as jobs:
        yield jobs


_numbers = count(1)


class AigcSandbox:
    """A Redis and a vendor for tests, both real and both on this machine; with a queue of the test's own.

    `redis_url`, `queue`, `results` and `outputs` are what `tasks.configure` was given, `endpoint` is the
    vendor's URL, with its pages for tests below `/_sandbox/`. All that the vendor gets from all tests is in
    its ledger.
    """

    def __init__(self, process: subprocess.Popen[str], queue: str, about: dict[str, str]) -> None:
        self._process = process
        self.redis_url, self.endpoint = about["redis_url"], about["endpoint"]
        self.queue, self.results, self.outputs = queue, f"{queue}:results", f"{queue}:outputs"

    def start_worker(self, **settings: str) -> None:
        """Start a worker of this queue, and return once it takes jobs; it ends with the test.

        Args:
            settings: environment variables beside those that it needs, such as ``AIGC_MAX_ATTEMPTS="2"``.
        """
        names = {"AIGC_QUEUE": self.queue, "AIGC_RESULTS": self.results, "AIGC_OUTPUTS": self.outputs}
        environment = {**names, **settings}
        _ask(self._process, f"worker {json.dumps(environment)}")

    def stop_workers(self) -> None:
        """End all of them in order: what they are sending is settled."""
        _ask(self._process, "stop")


@pytest.fixture(scope="session")
def _aigc_servers() -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    command = [sys.executable, "-P", "-m", "aigc_worker.for_tests"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, _answer(process)
    finally:
        process.stdin.close()
        process.stdout.read()  # until it has ended what it started
        process.stdout.close()
        process.wait()


@pytest.fixture
def aigc_sandbox(_aigc_servers: tuple[subprocess.Popen[str], dict[str, str]]) -> Iterator[AigcSandbox]:
    """A real Redis and the sandbox vendor, for which `tasks` is configured in this test; see `AigcSandbox`.

    Needs the extras `worker` and `sandbox`. No worker runs until the test starts one.
    """
    process, about = _aigc_servers
    sandbox = AigcSandbox(process, f"aigc-test-{next(_numbers)}", about)
    configure = import_module("aigc").configure
    names = {"queue": sandbox.queue, "results": sandbox.results, "outputs": sandbox.outputs}
    configure(redis_url=sandbox.redis_url, **names)
    try:
        yield sandbox
    finally:
        configure()
        sandbox.stop_workers()


def _ask(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    _answer(process)


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    document: dict[str, Any] = json.loads(process.stdout.readline() or '{"error": "it ended; see above"}')
    if "error" in document:
        pytest.fail(f"aigc_sandbox: {document['error']}", pytrace=False)
    return document
