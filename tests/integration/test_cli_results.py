"""`aigc results`: the ones that are asked for, as a person and as a script sees them."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from typing import Any

import pytest

from tasks.cancellation import cancel_in
from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS, RESULT_FIELD
from tests.conditions import PATIENCE_S
from tests.integration.desk import Desk
from tests.integration.terminal import COLUMNS
from tests.integration.test_cli_submit import add, aigc, environ, lines_of, on_terminal, result
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer

LONG = "5f0c1234-5678-4abc-8def-0123456789ab"


def published_at(server: RedisServer, number: int, second: int) -> None:
    entry: Any = {RESULT_FIELD: result(number).to_json()}
    server.client().xadd(DEFAULT_RESULTS, entry, id=f"{second * 1000}-0")


def jobs(server: RedisServer, *options: str) -> list[str]:
    done = aigc(server, "results", *options)
    assert (done.returncode, done.stderr) == (0, b"")
    return [json.loads(line)["jobId"] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [1, 2, 3, 4, 5]),
        (["--job", "job-4"], [4]),
        (["--job", "job-4", "--job", "job-1"], [1, 4]),
        (["--status", "exhausted"], [2, 4]),
        (["--status", "exhausted", "--status", "submitted"], [1, 2, 3, 4, 5]),
        (["--status", "unknown"], []),
        (["--since", "2001-01-01T00:00:02Z"], [3, 4, 5]),
        (["--tail", "2"], [4, 5]),
        (["--tail", "0"], []),
        (["--tail", "99"], [1, 2, 3, 4, 5]),
        (["--tail", "1", "--status", "exhausted"], [4]),
        (["--tail", "9", "--since", "2001-01-01T00:00:03Z"], [4, 5]),
    ],
)
def test_the_results_that_are_asked_for(
    options: list[str], expected: list[int], redis_server: RedisServer
) -> None:
    """Oldest first, whatever they were chosen by."""
    for number in range(1, 6):
        published_at(redis_server, number, 978_307_199 + number)
    assert jobs(redis_server, *options) == [f"job-{number}" for number in expected]


def test_the_last_results_of_a_long_stream_are_found_past_others(redis_server: RedisServer) -> None:
    """Page by page, and what is no result is passed over."""
    add(redis_server, *range(1, 1300))
    redis_server.client().xadd(DEFAULT_RESULTS, {"other": "junk"})
    assert jobs(redis_server, "--tail", "1") == ["job-1299"]
    assert jobs(redis_server, "--tail", "1", "--job", "job-7") == ["job-7"]


def test_follow_goes_on_after_the_last_ones(redis_server: RedisServer) -> None:
    """Without a gap, and only with what is asked for."""
    add(redis_server, 1, 2, 3)
    command = [quick_aigc(), "results", "--follow", "--tail", "1", "--status", "submitted"]
    with subprocess.Popen(command, env=environ(redis_server), stdout=subprocess.PIPE) as process:
        assert lines_of(process.stdout, 1) == ["job-3"]
        add(redis_server, 4, 5)
        assert lines_of(process.stdout, 1) == ["job-5"]
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["list"], "no job that failed\n"),
        (["list", "--status", "unknown"], "no such job: none that failed passes the filters\n"),
        (["list", "--malformed"], "no malformed message\n"),
        (["log"], "nothing was decided yet\n"),
    ],
)
def test_on_a_terminal_an_empty_table_says_so(
    options: list[str], words: str, redis_server: RedisServer
) -> None:
    """A person need not wonder; in a pipe there is nothing at all."""
    assert on_terminal(redis_server, "failed", *options) == words
    done = aigc(redis_server, "failed", *options)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_cancelled_job_that_no_worker_has_met_yet_is_told_of(desk: Desk, redis_server: RedisServer) -> None:
    """It has its result when its turn comes; until then the mark says so."""
    assert cancel_in(redis_server.client(), DEFAULT_QUEUE, "gone")
    done = desk.aigc("results", "--job", "gone")
    assert (done.code, done.out) == (1, "")
    assert "no result yet: it was cancelled" in done.err
    (told,) = desk.aigc("failed", "show", "gone").documents
    assert told["cancelAskedAt"].startswith("20")


def test_a_job_without_a_result_is_told_of(desk: Desk, redis_server: RedisServer) -> None:
    """What the journal knows of it, with the results' words; exit 1, and nothing for a script to take."""
    desk.add_dead_letter("held")
    assert desk.aigc("failed", "accept", "task-7").code == 0
    redis_server.client().delete(DEFAULT_RESULTS)
    done = desk.aigc("results", "--job", "held", "--job", "nobody")
    assert (done.code, done.out) == (1, "")
    held, nobody = done.err.splitlines()
    assert held.startswith("aigc: job held: submitted at 20")
    assert held.endswith("task task-7; its result is in the stream no longer")
    assert nobody.startswith("aigc: job nobody: no result, and no record")


def test_show_says_of_a_successful_job_what_its_result_says(desk: Desk) -> None:
    """Its record's own word for it is another."""
    desk.add_dead_letter("held")
    assert desk.aigc("failed", "accept", "task-7").code == 0
    (shown,) = desk.aigc("failed", "show", "held").documents
    assert (shown["state"], shown["status"], shown["taskId"]) == ("accepted", "submitted", "task-7")


@pytest.mark.parametrize(
    "options", [["--job", "j"], ["--status", "unknown"], ["--since", "2h"], ["--tail", "1"]]
)
def test_a_group_takes_no_filter(options: list[str], desk: Desk) -> None:
    """What a filter left out would be acknowledged unseen."""
    assert desk.aigc("results", "--group", "g", *options).code == 2


def long_result(number: int) -> str:
    made = dataclasses.replace(
        result(number), job_id=LONG, task_id=LONG if number % 2 else None,
        error_msg=None if number % 2 else "图片无法访问 请稍后重试 " * 9, possible_duplicate=number % 2 == 0,
    )  # fmt: skip
    return made.to_json()


def test_on_a_terminal_there_is_a_table_of_80_columns(redis_server: RedisServer) -> None:
    """A header, ids in one piece, a colour for each status."""
    for number in (1, 2):
        redis_server.client().xadd(DEFAULT_RESULTS, {RESULT_FIELD: long_result(number)})
    shown = on_terminal(redis_server, "results", NO_COLOR="1")
    assert "\x1b" not in shown
    header, first, task, second, *error = shown.splitlines()
    assert header.split() == ["ENDED", "(UTC)", "STATUS", "JOB", "WORKFLOW"]
    assert first == f"11-22 22:31:33  submitted  {LONG}  TEXT2IMAGE"
    assert (task.strip(), second[16:25]) == (f"task {LONG}", "exhausted")
    assert "possible duplicate" in error[-1]
    width = [len(line) + sum("一" <= char <= "鿿" for char in line) for line in error]
    assert max(width) <= COLUMNS


@pytest.mark.parametrize(
    ("environment", "colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)],
)
def test_colour_is_where_a_terminal_has_it_and_nobody_said_no(
    environment: dict[str, str], colour: bool, redis_server: RedisServer
) -> None:
    """https://no-color.org; never in a pipe."""
    add(redis_server, 1)
    assert ("\x1b[32m" in on_terminal(redis_server, "results", **environment)) == colour
    assert b"\x1b" not in aigc(redis_server, "results", "--human").stdout
