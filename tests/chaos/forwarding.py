"""`aigc forward` beside a soak: an endpoint that knows what it took, and now and then takes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from tests.chaos.arena import Arena
from tests.conditions import until

SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WITHIN_S: Final = 300.0


class Forwarding:
    """The program, and the endpoint that it sends to.

    Attributes:
        refuses: the endpoint answers 503.
        taken: of each message that it took, the job's id, or the task's, and the message's type.
    """

    def __init__(self, arena: Arena) -> None:
        self.refuses = False
        self.taken: set[tuple[str, str]] = set()
        self._arena = arena
        self._url = ""
        descriptor, log = tempfile.mkstemp(prefix="aigc-forward-", suffix=".log")
        os.close(descriptor)
        self._log = Path(log)
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Both of them, for as long as the block runs."""
        endpoint = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        endpoint.daemon_threads = True
        self._url = f"http://127.0.0.1:{endpoint.server_port}/"
        threading.Thread(target=endpoint.serve_forever, name="endpoint", daemon=True).start()
        self._start()
        try:
            yield
        finally:
            self._end()
            endpoint.shutdown()
            endpoint.server_close()
            self._log.unlink(missing_ok=True)

    def restart(self) -> None:
        """Kill the program, and start it again."""
        self._end()
        self._start()

    def violations(self) -> Iterator[str]:
        """What was published and never came, once there was time for it; and a program that has ended."""
        results = {(each["jobId"], f"job.{each['status']}") for each in self._arena.results()}
        try:
            until(lambda: results <= self.taken, "all results to be forwarded", WITHIN_S)
        except AssertionError as error:
            yield f"{error}: {len(results - self.taken)} are missing, {sorted(results - self.taken)[:3]}"
        if self._process and self._process.poll() is not None:
            yield f"aigc forward ended by itself: {self._log.read_text(errors='replace')[-1500:]}"

    def _start(self) -> None:
        environment = self._arena.env(FORWARD_SECRET=SECRET)
        command = [sys.executable, "-c", "from worker.cli import main; main()", "forward", "--to", self._url]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--outputs"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


def _handler(forwarding: Forwarding) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if not forwarding.refuses:
                about, data = document["type"], document["data"]
                name = data["taskId"] if about.startswith("task.") else data["jobId"]
                forwarding.taken.add((name, about))
            self.send_response(503 if forwarding.refuses else 204)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    return Handler
