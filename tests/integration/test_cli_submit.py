"""`aigc submit`, `aigc results` and `aigc sandbox` as a user runs them: real processes, a real Redis."""

from __future__ import annotations

import base64
import json
import os
import select
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
from tests.conditions import PATIENCE_S
from tests.integration.terminal import Terminal, shown_by
from tests.quick_python import quick_aigc
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
    return subprocess.run(
        [quick_aigc(), *args], input=stdin, env=environ(server), capture_output=True, check=False
    )


def fed(server: RedisServer, *args: str, stderr: int | None = None) -> subprocess.Popen[bytes]:
    """A command whose input is written while it runs."""
    return subprocess.Popen(
        [quick_aigc(), *args],
        env=environ(server),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )


def on_terminal(server: RedisServer, *args: str, typed: str = "", **changes: str) -> str:
    """What a command shows on a terminal of 80 columns."""
    return shown_by([quick_aigc(), *args], environ(server) | changes, typed=typed)


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


def test_what_a_pipe_has_given_is_queued_before_more_is_waited_for(redis_server: RedisServer) -> None:
    """As in `tail -f orders.ndjson | aigc submit -`: who feeds it may never end it."""
    with fed(redis_server, "submit", "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for count in (1, 2, 3):
            process.stdin.write((json.dumps(payload(f"cat {count}")) + "\n").encode())
            process.stdin.flush()
            shown = process.stdout.readline().decode().strip()
            assert shown == queued(redis_server)[-1]["id"]
        process.stdin.write(json.dumps(payload("the last, without a line end")).encode())
        process.stdin.close()
        assert len(process.stdout.read().split()) == 1
        assert process.wait(PATIENCE_S) == 0
    assert len(queued(redis_server)) == 4


@pytest.mark.parametrize("after", [b"not JSON\n", b"\n", b" \n\n", "the same"])
def test_a_job_of_a_pipe_does_not_wait_for_what_makes_none(
    after: bytes | str, redis_server: RedisServer
) -> None:
    """A bad line, a blank one or a duplicate came behind it at once, and nothing more for now."""
    job = (json.dumps(payload()) + "\n").encode()
    with fed(redis_server, "submit", "--dedupe", "-", stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(job + (after if isinstance(after, bytes) else job))
        process.stdin.flush()
        ready = select.select([process.stdout], [], [], PATIENCE_S)[0]
        waiting = queued(redis_server)
        process.stdin.close()
        process.wait(PATIENCE_S)
    assert ready
    assert len(waiting) == 1


def test_two_different_jobs_of_one_id_are_told(redis_server: RedisServer) -> None:
    """The second one would never be bought, and nobody would know; the same job twice is harmless."""
    items = [("a", "a cat"), ("b", "a dog"), ("a", "a cat"), ("a", "a cow")]
    lines = [json.dumps({"id": job_id, "payload": payload(text)}) for job_id, text in items]
    done = aigc(redis_server, "submit", "-", stdin="\n".join(lines).encode())
    told, summary = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout.decode().split()) == (1, ["a", "b", "a"])
    assert "line 4: id: another job of this file has 'a' already" in told
    assert summary == "aigc: 1 of 4 jobs was not queued"
    planned = aigc(redis_server, "submit", "-", "--dry-run", "--json", stdin="\n".join(lines).encode())
    quote = json.loads(planned.stdout)
    assert (planned.returncode, quote["invalid"], quote["toBuy"]) == (1, 1, {"TEXT2IMAGE": 2})


def test_an_id_that_a_pipe_brings_again_later_is_told_and_queued(redis_server: RedisServer) -> None:
    """The earlier job may have been rejected meanwhile: what was mended in it came under its own id."""
    with fed(redis_server, "submit", "-", stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in ("a cat without a tail", "a cat"):
            process.stdin.write((json.dumps({"id": "a", "payload": payload(text)}) + "\n").encode())
            process.stdin.flush()
            if text != "a cat":
                assert process.stdout.readline() == b"a\n"
        told = process.communicate(timeout=PATIENCE_S)[1].decode()
    assert (process.returncode, len(queued(redis_server))) == (0, 2)
    assert "line 2: id: another job had 'a' before" in told


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_table_given_as_json_is_one_line(encoding: str, redis_server: RedisServer) -> None:
    """It says what the file looks like; nothing is queued, exit 1."""
    rows = "sku,prompt\n" + "A-1,a cat\n" * 5000
    done = aigc(redis_server, "submit", "-", stdin=rows.encode(encoding))
    assert (done.returncode, done.stdout, queued(redis_server)) == (1, b"", [])
    (line,) = done.stderr.decode().splitlines()
    assert "looks like " + ("CSV" if encoding == "utf-8" else "UTF-16") in line


def test_a_fault_that_is_repeated_is_told_ten_times_and_counted(redis_server: RedisServer) -> None:
    """The good lines among them are queued."""
    bad = [json.dumps(payload() | {"version": number}) for number in range(500)]
    done = aigc(redis_server, "submit", "-", stdin="\n".join([*bad, json.dumps(payload())]).encode())
    errors = done.stderr.decode().splitlines()
    assert (done.returncode, len(queued(redis_server)), len(errors)) == (1, 1, 12)
    assert "490 more as at line 1: version: " in errors[10]
    assert errors[11] == "aigc: 500 of 501 jobs were not queued"


@pytest.mark.parametrize("by_stdin", [True, False])
def test_input_without_ids_that_was_submitted_before_is_told(
    by_stdin: bool, redis_server: RedisServer, tmp_path: Path
) -> None:
    """It is bought twice, and the second time says so, and what prevents it; other input says nothing."""
    file = tmp_path / "jobs.ndjson"
    file.write_text(json.dumps(payload()) + "\n")

    def submit() -> bytes:
        content = file.read_bytes() if by_stdin else b""
        return aigc(redis_server, "submit", "-" if by_stdin else str(file), stdin=content).stderr

    assert submit() == b""
    told = submit()
    assert b"submitted before, at 20" in told
    assert b"bought again (--dedupe prevents that where it is given each time, the first one too)" in told
    assert len(queued(redis_server)) == 2
    file.write_text(json.dumps(payload("another cat")) + "\n")
    assert submit() == b""


@pytest.mark.parametrize("by_stdin", [True, False])
def test_dedupe_after_a_time_without_is_told(
    by_stdin: bool, redis_server: RedisServer, tmp_path: Path
) -> None:
    """What was queued under other ids is bought again; what was queued with it is not."""
    file = tmp_path / "jobs.ndjson"
    file.write_text(json.dumps(payload()) + "\n")

    def submit(*options: str) -> bytes:
        content = file.read_bytes() if by_stdin else b""
        return aigc(redis_server, "submit", *options, "-" if by_stdin else str(file), stdin=content).stderr

    assert submit() == b""
    assert b"bought again" in submit("--dedupe")
    assert submit("--dedupe") == b""
    assert b"bought again" in submit()
    assert submit("--dedupe") == b""


def test_ids_make_a_second_time_safe_and_silent(redis_server: RedisServer) -> None:
    """There is nothing to warn of."""
    content = json.dumps({"payload": payload(), "id": "mine"}).encode()
    for _ in range(2):
        assert aigc(redis_server, "submit", "-", stdin=content).stderr == b""


def test_dedupe_makes_the_content_the_id(redis_server: RedisServer) -> None:
    """The same content has the same id each time, in a file once; an id of its own stays."""
    named = {"payload": payload(), "id": "mine"}
    tagged = {"payload": payload(), "metadata": {"sku": "A"}}
    content = json.dumps([payload(), payload(), tagged, named]).encode()
    first, second = (aigc(redis_server, "submit", "-", "--dedupe", stdin=content) for _ in range(2))
    assert (first.returncode, first.stderr, second.stderr) == (0, b"", b"")
    assert first.stdout == second.stdout
    ids = first.stdout.decode().split()
    assert (len(ids), len(set(ids)), ids[2]) == (3, 3, "mine")
    assert [job["id"] for job in queued(redis_server)] == ids * 2


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
    with Terminal() as terminal:
        with subprocess.Popen(
            [quick_aigc(), "submit", str(file)],
            env=environ(redis_server) | {"TERM": "xterm"},
            stdout=subprocess.PIPE,
            stderr=terminal.end,
        ) as process:
            terminal.leave()
            assert process.stdout is not None
            printed = process.stdout.read().split()
        shown = terminal.read()
    assert process.returncode == 0
    assert "queueing" in shown
    assert "%" in shown
    assert "queued 3,000 jobs" in shown
    assert "3,000 without an id: submitted again they are bought again" in shown
    assert len(set(printed)) == 3000


@pytest.mark.parametrize("option", ["", "--print-ids", "--ids"])
def test_on_a_terminal_ids_are_shown_only_where_they_are_asked_for(
    option: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    """A summary stands there instead; a file takes them as well."""
    file, ids = tmp_path / "jobs.ndjson", tmp_path / "ids"
    file.write_text("".join(json.dumps({"payload": payload(), "id": f"job-{n}"}) + "\n" for n in range(3)))
    options = [option, *([str(ids)] if option == "--ids" else [])] if option else []
    shown = on_terminal(redis_server, "submit", str(file), *options)
    assert "queued 3 jobs" in shown
    assert "without an id" not in shown
    assert ("job-1" in shown) == (option == "--print-ids")
    if option == "--ids":
        assert ids.read_text() == "job-0\njob-1\njob-2\n"


def test_one_job_on_a_terminal_is_named(redis_server: RedisServer, tmp_path: Path) -> None:
    """Its id is not lost for want of an option."""
    file = tmp_path / "job.json"
    file.write_text(json.dumps(payload()))
    shown = on_terminal(redis_server, "submit", str(file))
    (job,) = queued(redis_server)
    assert f"queued job {job['id']}" in shown


@pytest.mark.parametrize(("answer", "count"), [("n", 1), ("y", 2)])
def test_on_a_terminal_a_second_time_is_asked_about(
    answer: str, count: int, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Before anything is bought again."""
    file = tmp_path / "job.json"
    file.write_text(json.dumps(payload()))
    on_terminal(redis_server, "submit", str(file))
    shown = on_terminal(redis_server, "submit", str(file), typed=f"{answer}\n")
    assert "was submitted before, at 20" in shown
    assert "Go on?" in shown
    assert len(queued(redis_server)) == count


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
        [quick_aigc(), "results", "--follow"],
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
    with subprocess.Popen([quick_aigc(), "sandbox", "--port", "0"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().split()[-1]
        with urllib.request.urlopen(f"{url}/_sandbox/health", timeout=10) as answer:
            assert answer.status == 200
        second = subprocess.run(
            [quick_aigc(), "sandbox", "--port", url.rsplit(":")[-1]], capture_output=True, check=False
        )
        assert second.returncode == 1
        assert second.stderr.startswith(b"aigc: cannot listen on 127.0.0.1:")
        assert second.stderr.count(b"\n") == 1
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
