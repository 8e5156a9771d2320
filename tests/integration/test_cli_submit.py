"""`aigc submit`, `aigc results` and `aigc sandbox` as a user runs them: real processes, a real Redis."""

from __future__ import annotations

import base64
import json
import os
import pty
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest

from tasks.contract import DEFAULT_RESULTS, RESULT_FIELD, queue_for
from tasks.result import Result
from tests.integration.stage import PATIENCE_S
from tests.redis_server import RedisServer

AIGC = [sys.executable, "-c", "from worker.cli import main; main()"]


def payload(text: str = "a cat") -> dict[str, Any]:
    return {
        "workflow": "TEXT2IMAGE",
        "version": "1.0.0",
        "algoInput": {"inputText": text, "width": 1, "height": 1},
    }


def result(number: int) -> Result:
    return Result(
        job_id=f"job-{number}",
        status="submitted" if number % 2 else "exhausted",
        task_id=f"task-{number}" if number % 2 else None,
        workflow="TEXT2IMAGE",
        version="1.0.0",
        attempts=number,
        request_id="r",
        error_code=None if number % 2 else "INTCNN_COMMON_SYS_ERROR",
        error_msg=None if number % 2 else "busy\x1b[2J",
        possible_duplicate=False,
        finished_at="2026-11-22T22:31:33.123Z",
        metadata={},
    )


def environ(server: RedisServer) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("AIGC_")} | {"AIGC_REDIS_URL": server.url}


def aigc(server: RedisServer, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*AIGC, *args], input=stdin, env=environ(server), capture_output=True, check=False)


def queued(server: RedisServer, key: str = "aigc") -> list[dict[str, Any]]:
    """The jobs in a queue, oldest first, out of single and batch messages."""
    jobs = []
    for raw in reversed(server.client().lrange(key, 0, -1)):
        message = json.loads(raw)
        (argument,), options, _ = json.loads(base64.b64decode(message["body"]))
        if isinstance(argument, list):
            jobs += argument
        else:
            jobs.append({"id": message["headers"]["id"], "payload": argument, **options})
    return jobs


def add(server: RedisServer, *numbers: int) -> None:
    pipeline = server.client().pipeline(transaction=False)
    for number in numbers:
        pipeline.xadd(DEFAULT_RESULTS, {RESULT_FIELD: result(number).to_json()})
    pipeline.execute()


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(payload()).encode(),
        json.dumps(payload(), indent=2).encode(),
        json.dumps([payload()]).encode(),
        b"\xef\xbb\xbf" + json.dumps(payload()).encode() + b"\r\n\r\n",
    ],
)
@pytest.mark.parametrize("by_stdin", [True, False])
def test_each_form_of_input_is_queued(
    content: bytes, by_stdin: bool, redis_server: RedisServer, tmp_path: Path
) -> None:
    """An object, an array and NDJSON, from a file or standard input: the id is printed, exit 0."""
    file = tmp_path / "jobs.json"
    file.write_bytes(content)
    done = (
        aigc(redis_server, "submit", "-", stdin=content)
        if by_stdin
        else aigc(redis_server, "submit", str(file))
    )
    assert (done.returncode, done.stderr) == (0, b"")
    (job,) = queued(redis_server)
    assert done.stdout.decode().split() == [job["id"]]
    assert job["payload"] == payload()


def test_bad_lines_are_reported_and_the_rest_is_queued(redis_server: RedisServer) -> None:
    """Each with its line number and its reason; ids of the good ones in order; exit 1."""
    lines = [json.dumps(payload(f"cat {n}")) for n in range(120)]
    lines[3] = '{"workflow": "TEXT2IMAGE"'
    lines[60] = json.dumps(payload("x" * 501))
    lines[100] = json.dumps({"payload": payload(), "id": ""})
    done = aigc(redis_server, "submit", "-", stdin="\n".join(lines).encode())
    assert done.returncode == 1
    errors = done.stderr.decode().splitlines()
    assert [error.split(": ")[2] for error in errors[:3]] == ["line 4", "line 61", "line 101"]
    assert "algoInput.inputText" in errors[1]
    assert errors[3:] == ["aigc: 3 of 120 jobs were not queued"]
    jobs = queued(redis_server)
    assert [job["id"] for job in jobs] == done.stdout.decode().split()
    assert [job["payload"]["algoInput"]["inputText"] for job in jobs] == [
        f"cat {n}" for n in range(120) if n not in (3, 60, 100)
    ]


def test_what_a_job_brings_and_what_the_options_add(redis_server: RedisServer) -> None:
    """What a job brings itself wins; the options serve the others; priority picks the queue."""
    new = {"workflow": "NEW", "version": "2", "algoInput": {"any": [1]}}
    items = [payload(), {"payload": new, "id": "mine", "metadata": {"own": 1}}]
    done = aigc(
        redis_server, "submit", "-", "--unlisted", "--metadata", '{"sku": "A"}', "--priority", "high",
        stdin=json.dumps(items).encode(),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    first, second = queued(redis_server, queue_for("aigc", "high"))
    assert first["metadata"] == {"sku": "A"}
    assert second == {"id": "mine", "payload": new, "metadata": {"own": 1}, "unlisted": True}


@pytest.mark.parametrize(("content", "words"), [(b"\n", b"no jobs"), (b'[{"a": 1},', b"not JSON")])
def test_input_without_any_job_is_a_failure(content: bytes, words: bytes, redis_server: RedisServer) -> None:
    """An empty file and a broken array are most likely not what was meant: exit 1, one line."""
    done = aigc(redis_server, "submit", "-", stdin=content)
    assert (done.returncode, done.stdout) == (1, b"")
    assert words in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_redis_that_is_away_is_one_line(own_redis_server: RedisServer) -> None:
    """Neither command shows a traceback; exit 1."""
    own_redis_server.kill()
    for args in (["submit", "-"], ["results"], ["results", "--group", "g"]):
        done = aigc(own_redis_server, *args, stdin=json.dumps(payload()).encode())
        assert done.returncode == 1
        assert done.stderr.startswith(b"aigc: Redis is not available")
        assert done.stderr.count(b"\n") == 1


def test_long_input_shows_its_progress_on_a_terminal(redis_server: RedisServer, tmp_path: Path) -> None:
    """A bar goes to standard error where it is a terminal; standard output has the ids alone."""
    file = tmp_path / "jobs.ndjson"
    line = json.dumps(payload("x" * 400)) + "\n"
    file.write_text(line * 3000)
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [*AIGC, "submit", str(file)],
        env=environ(redis_server) | {"TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        assert process.stdout is not None
        printed = process.stdout.read().split()
    shown = b""
    with open(master, "rb", buffering=0) as screen, suppress(OSError):  # it ends with an error on Linux
        while part := screen.read(4096):
            shown += part
    assert process.returncode == 0
    assert b"queueing" in shown
    assert b"%" in shown
    assert len(set(printed)) == 3000


def test_results_are_printed_and_the_command_ends(redis_server: RedisServer) -> None:
    """JSON lines of the contract where no terminal is; a line a person reads with --human."""
    assert aigc(redis_server, "results").stdout == b""
    add(redis_server, 1, 2)
    redis_server.client().xadd(DEFAULT_RESULTS, {"other": "junk"})
    add(redis_server, 3)
    done = aigc(redis_server, "results")
    assert done.returncode == 0
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        json.loads(result(number).to_json()) for number in (1, 2, 3)
    ]
    assert b"not a result" in done.stderr
    human = aigc(redis_server, "results", "--human").stdout.decode().splitlines()
    assert "submitted" in human[0]
    assert "task-1" in human[0]
    assert "INTCNN_COMMON_SYS_ERROR: busy" in human[1]
    assert "\x1b" not in human[1]


def test_a_group_sees_each_result_once(redis_server: RedisServer) -> None:
    """What was printed is acknowledged; another group sees all of it."""
    add(redis_server, 1, 2)
    ids = [
        json.loads(line)["jobId"]
        for line in aigc(redis_server, "results", "--group", "a").stdout.splitlines()
    ]
    assert ids == ["job-1", "job-2"]
    add(redis_server, 3)
    done = aigc(redis_server, "results", "--group", "a")
    assert [json.loads(line)["jobId"] for line in done.stdout.splitlines()] == ["job-3"]
    assert redis_server.client().xpending(DEFAULT_RESULTS, "a")["pending"] == 0
    assert len(aigc(redis_server, "results", "--group", "b").stdout.splitlines()) == 3


def lines_of(stream: IO[bytes] | None, count: int) -> list[str]:
    assert stream is not None
    return [json.loads(stream.readline())["jobId"] for _ in range(count)]


def test_follow_goes_on_without_a_gap_also_over_a_restart(own_redis_server: RedisServer) -> None:
    """What was there, what comes, what comes after Redis was killed and started; Ctrl-C is 130."""
    add(own_redis_server, 1, 2)
    with subprocess.Popen(
        [*AIGC, "results", "--follow"],
        env=environ(own_redis_server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert lines_of(process.stdout, 2) == ["job-1", "job-2"]
        add(own_redis_server, 3)
        assert lines_of(process.stdout, 1) == ["job-3"]
        own_redis_server.kill()
        own_redis_server.start()
        add(own_redis_server, 4)
        assert lines_of(process.stdout, 1) == ["job-4"]
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize("command", [["results"], ["submit", "-"]])
def test_a_reader_that_goes_away_is_no_traceback(command: list[str], redis_server: RedisServer) -> None:
    """As in `aigc results | head`."""
    add(redis_server, *range(1, 2000))
    with subprocess.Popen(
        [*AIGC, *command],
        env=environ(redis_server),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        with suppress(BrokenPipeError):
            process.stdin.write((json.dumps(payload()) + "\n").encode() * 5000)
            process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE_S) == 1


def test_the_sandbox_serves_until_it_is_stopped() -> None:
    """It prints where it listens; SIGTERM ends it with 0; a port in use is one line and exit 1."""
    with subprocess.Popen([*AIGC, "sandbox", "--port", "0"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().split()[-1]
        with urllib.request.urlopen(f"{url}/_sandbox/health", timeout=10) as answer:
            assert answer.status == 200
        second = subprocess.run(
            [*AIGC, "sandbox", "--port", url.rsplit(":")[-1]], capture_output=True, check=False
        )
        assert second.returncode == 1
        assert second.stderr.startswith(b"aigc: cannot listen on 127.0.0.1:")
        assert second.stderr.count(b"\n") == 1
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
