"""Redis, the sandbox vendor and workers for the tests of another program: a process that its stdin rules.

It says in a line of JSON where they are. Each line `worker {environment as JSON}` starts a worker, each line
`stop` ends it; each is answered by a line, in which `error` says what went wrong. It ends with its stdin, so
with the program that started it, and takes all that it started with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from typing import Any

from tasks.exceptions import AigcError
from worker.dev.embedded import EmbeddedRedis
from worker.dev.processes import address, environment, lines, process, wait_until_ready


def main() -> None:
    """Serve until stdin ends."""
    try:
        with ExitStack() as stack:
            server = stack.enter_context(EmbeddedRedis())
            env = environment(
                server.url, stack.enter_context(tempfile.TemporaryDirectory(prefix="aigc-tests-"))
            )
            sandbox = stack.enter_context(process(["sandbox", "--port", "0"], env, subprocess.PIPE, None))
            env["AIGC_ENDPOINT"] = address(sandbox)
            _say(redis_url=server.url, endpoint=env["AIGC_ENDPOINT"])
            _serve(env)
    except AigcError as error:
        _say(error=str(error))


def _serve(env: dict[str, str]) -> None:
    with ExitStack() as workers:
        for line in sys.stdin:
            command, _, document = line.strip().partition(" ")
            if command == "worker":
                worker = process(["worker"], env | json.loads(document), None, subprocess.PIPE)
                try:
                    started = workers.enter_context(worker)
                    wait_until_ready(started, lines(started))
                except AigcError as error:
                    _say(error=str(error))
                    continue
            else:
                workers.close()
            _say()


def _say(**document: Any) -> None:
    print(json.dumps(document), flush=True)
