"""`aigc outputs`: the ones that are asked for; how it and `aigc results` wait for a Redis that is away."""

from __future__ import annotations

import json
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tasks import Output
from tasks.contract import DEFAULT_OUTPUTS, DEFAULT_RESULTS, OUTPUT_FIELD, RESULT_FIELD
from tests.conditions import PATIENCE_S, until
from tests.integration.desk import Desk
from tests.integration.test_cli_submit import environ, on_terminal, result
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer

LONG = "5f0c1234-5678-4abc-8def-0123456789ab"


def output(number: int) -> Output:
    succeeded = number % 2 == 1
    return Output(
        job_id=f"job-{number}" if number < 5 else None,
        task_id=f"task-{number}",
        status="succeeded" if succeeded else "lost",
        vendor_status="SUCCESS" if succeeded else "RUNNING",
        url=f"http://files.example/{number}.png" if succeeded else None,
        file=f"file:///pictures/{number}.png" if number == 1 else None,
        sha256=None,
        bytes=None,
        content_type=None,
        workflow="TEXT2IMAGE",
        version="1.0.0",
        finished_at="2026-11-22T22:31:33.123Z",
    )


def add(server: RedisServer, *numbers: int) -> None:
    client: Any = server.client()
    for number in numbers:
        client.xadd(DEFAULT_OUTPUTS, {OUTPUT_FIELD: output(number).to_json()}, id=f"{number * 1000}-0")


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    made = Desk(redis_server)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [1, 2, 3, 4, 5]),
        (["--task", "task-4"], [4]),
        (["--job", "job-4", "--job", "job-1"], [1, 4]),
        (["--job", "job-4", "--task", "task-4"], [4]),
        (["--status", "lost"], [2, 4]),
        (["--status", "failed"], []),
        (["--since", "1970-01-01T00:00:03Z"], [3, 4, 5]),
        (["--tail", "2"], [4, 5]),
        (["--tail", "1", "--status", "lost"], [4]),
        (["--group", "g"], [1, 2, 3, 4, 5]),
    ],
)
def test_the_outputs_that_are_asked_for(
    options: list[str], expected: list[int], desk: Desk, redis_server: RedisServer
) -> None:
    """Oldest first, in the contract's JSON, whatever they were chosen by."""
    redis_server.client().xadd(DEFAULT_OUTPUTS, {"other": "junk"}, id="0-1")
    add(redis_server, *range(1, 6))
    done = desk.aigc("outputs", *options)
    assert (done.code, done.out.splitlines()) == (0, [output(number).to_json() for number in expected])


def test_a_task_or_job_without_an_output_is_told_of(desk: Desk, redis_server: RedisServer) -> None:
    """Exit 1, and what there is of the others."""
    add(redis_server, 1)
    done = desk.aigc("outputs", "--task", "gone")
    assert (done.code, done.out) == (1, "")
    done = desk.aigc("outputs", "--job", "job-1", "--job", "nobody")
    assert (done.code, [each["taskId"] for each in done.documents]) == (1, ["task-1"])
    assert done.err.startswith("aigc: job nobody: no output: it has not ended")
    done = desk.aigc("outputs", "--task", "task-1", "--status", "lost")
    assert (done.code, done.err) == (1, "aigc: task task-1: no such output\n")


@pytest.mark.parametrize("options", [["--task", "t"], ["--job", "j"], ["--status", "lost"], ["--tail", "0"]])
def test_a_group_takes_no_filter(options: list[str], desk: Desk) -> None:
    """What a filter left out would be acknowledged unseen."""
    done = desk.aigc("outputs", "--group", "g", *options)
    assert done.code == 2
    assert "does not go with --task, --job, --status, --since or --tail" in done.err


def test_on_a_terminal_there_is_a_table(redis_server: RedisServer) -> None:
    """A header, ids in one piece, then where the picture is, or what the vendor says."""
    client: Any = redis_server.client()
    for made in (
        replace(output(1), task_id=LONG),
        replace(output(2), status="failed", vendor_status="TIMEOUT"),
    ):
        client.xadd(DEFAULT_OUTPUTS, {OUTPUT_FIELD: made.to_json()})
    shown = on_terminal(redis_server, "outputs", NO_COLOR="1")
    header, first, where, second, why = shown.splitlines()
    assert header.split() == ["ENDED", "(UTC)", "STATUS", "TASK", "WORKFLOW"]
    assert first == f"11-22 22:31:33  succeeded  {LONG}  TEXT2IMAGE"
    assert where.strip() == "file:///pictures/1.png, job job-1"
    assert second.split() == ["11-22", "22:31:33", "failed", "task-2", "TEXT2IMAGE"]
    assert why.strip() == "the vendor says TIMEOUT, job job-2"


@contextmanager
def refusing(port: int) -> Iterator[list[object]]:
    """In the place of Redis: whoever connects is hung up on. Gives those who did."""
    callers: list[object] = []

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            callers.append(self.client_address)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        address_family = socket.AF_INET

    with Server(("127.0.0.1", port), HangUp) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield callers
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize(
    ("command", "options"), [("results", []), ("outputs", ["--group", "g"]), ("outputs", ["--tail", "9"])]
)
def test_a_redis_that_is_away_is_told_of_once(
    command: str, options: list[str], own_redis_server: RedisServer
) -> None:
    """However often it is asked: away at the beginning, and later on; then what came is there."""
    field, made = {
        "results": (RESULT_FIELD, result(1).to_json()),
        "outputs": (OUTPUT_FIELD, output(1).to_json()),
    }[command]
    stream = {"results": DEFAULT_RESULTS, "outputs": DEFAULT_OUTPUTS}[command]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    words = [quick_aigc(), command, "--follow", "--json", *options]
    process: Any = None
    try:
        for attempts in (2, 4):  # later on the client makes more than one before it gives up
            own_redis_server.kill()
            with refusing(own_redis_server.port) as callers:
                if process is None:
                    process = subprocess.Popen(words, env=environ(own_redis_server), **pipes)
                enough = len(callers) + attempts
                until(lambda: len(callers) >= enough, "several attempts")  # noqa: B023
            own_redis_server.start()
            own_redis_server.client().xadd(stream, {field: made})
            assert json.loads(process.stdout.readline())["jobId"] == "job-1"
    finally:
        process.kill()
        _, told = process.communicate(timeout=PATIENCE_S)
    away, again, *later = [line.partition(":")[2].strip() for line in told.splitlines()]
    assert away.startswith("waiting for Redis: ")
    assert again == later[1] == "Redis answers again"
    assert (len(later), later[0].partition(":")[0]) == (2, "waiting for Redis")
