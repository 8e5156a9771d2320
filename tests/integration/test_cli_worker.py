"""`aigc worker` as a user runs it: right without a flag, in words where it cannot start."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conditions import PATIENCE_S
from tests.integration.stage import CommandWorker, Stage, text
from tests.integration.terminal import Terminal
from tests.quick_python import quick_aigc
from worker.config.settings import foreign_environ

AIGC = [sys.executable, "-c", "from worker.cli import main; main()"]


@pytest.mark.parametrize(
    "arguments", [[], ["-n", "night", "--pool", "prefork", "--", "--max-tasks-per-child=100"]]
)
def test_it_works_and_sigterm_ends_it_with_0(arguments: list[str], stage: Stage) -> None:
    """No flag is needed; the log is JSON where no terminal is."""
    env = stage.env(CONCURRENCY=2)
    with subprocess.Popen(
        [*AIGC, "worker", *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert stage.result(stage.enqueue(text("a cat")))["status"] == "submitted"
            stage.drain()
        finally:
            process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    lines = [json.loads(line) for line in err.splitlines() if line.startswith(b"{")]
    assert [line["message"] for line in lines if line.get("job")] == ["job submitted"]


@pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])
def test_ctrl_c_on_a_terminal_is_told_in_our_words(pool: str, stage: Stage) -> None:
    """Nothing of a cold shutdown, nor to hit it again; and no page about root, but a line where it is so."""
    env = stage.env(CONCURRENCY=2, LOG_FORMAT="human")
    with Terminal() as terminal, subprocess.Popen(
        [*AIGC, "worker", "--pool", pool], env=env, stdin=terminal.end, stdout=terminal.end,
        stderr=terminal.end, preexec_fn=terminal.become_controlling, start_new_session=True,
    ) as process:  # fmt: skip
        terminal.leave()
        assert stage.result(stage.enqueue(text("a cat")))["status"] == "submitted"
        terminal.type("\x03")
        shown = terminal.read()
        process.wait(PATIENCE_S)
    assert "Warm shutdown (SIGINT)" in shown
    assert re.findall(r"cold shutdown|hitting ctrl|superuser|traceback", shown, re.IGNORECASE) == []
    assert ("this worker runs as root" in shown) == (os.geteuid() == 0)


def test_wrong_settings_stop_it_at_once(stage: Stage) -> None:
    """One line for each, exit 1."""
    env = stage.env(CONCURRENCY=0, READ_TIMEOUT_S="soon")
    done = subprocess.run([quick_aigc(), "worker"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [line.split()[1] for line in done.stderr.splitlines()] == [
        "AIGC_CONCURRENCY",
        "AIGC_READ_TIMEOUT_S",
    ]


@pytest.mark.parametrize(
    ("aigc", "arguments", "code"),
    [
        (True, ["-Q", "staging"], 2),
        (True, ["--", "-Q", "staging"], 1),
        (True, ["--", "--queues=aigc,staging"], 1),
        (False, ["-Q", "staging"], 1),
        (False, ["-X", "aigc"], 1),
    ],
)
def test_it_takes_from_no_other_queue_than_its_own(
    stage: Stage, aigc: bool, arguments: list[str], code: int
) -> None:
    """Asked for another one by Celery's option it names AIGC_QUEUE and ends; nothing is taken or bought."""
    stage.enqueue(text("a cat"))
    posts = stage.vendor.posts
    command = [quick_aigc(), "worker", *arguments]
    worker = CommandWorker(stage, command) if aigc else stage.worker(*arguments)
    assert worker.process.wait(PATIENCE_S) == code
    assert "AIGC_QUEUE" in worker.output()
    assert "Traceback" not in worker.output()
    assert (stage.queued(), stage.vendor.posts) == (1, posts)


def test_its_own_queue_may_be_named(stage: Stage) -> None:
    """Whoever gives Celery the queue that it has anyway gets a worker."""
    stage.worker("-Q", "aigc")
    assert stage.result(stage.enqueue(text("a cat")))["status"] == "submitted"


@pytest.mark.parametrize("settings", [True, False])
def test_celerys_report_shows_no_secret_and_no_traceback(stage: Stage, settings: bool) -> None:
    """What people put into bug reports; without settings it names those that are missing."""
    url = "rediss://shop:s3cret@127.0.0.1:1/0?ssl_password=s3cret"
    env = stage.env(REDIS_URL=url) if settings else foreign_environ()
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "report"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    assert (done.returncode == 0, "AIGC_ACCESS_KEY must be set" in told) == (settings, not settings)
    assert "s3cret" not in told
    assert "Traceback" not in told
