"""What commands do where there is nobody to read what they print, and no room for it."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conditions import PATIENCE_S, until
from tests.integration.stage import CAT
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from worker.config.settings import foreign_environ

AIGC = shlex.join([sys.executable, "-c", "from worker.cli import main; main()"])


def shell(
    command: str, server: RedisServer, folder: Path, program: str = AIGC
) -> subprocess.CompletedProcess[str]:
    """What a shell makes of a command line."""
    environ = foreign_environ() | {"AIGC_REDIS_URL": server.url, "XDG_STATE_HOME": str(folder)}
    line = ["sh", "-c", f"{program} {command}"]
    return subprocess.run(
        line, env=environ, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def jobs_file(folder: Path, count: int) -> Path:
    path = folder / "jobs.ndjson"
    payload = json.dumps(CAT)
    path.write_text("".join(f'{{"id": "job-{n}", "payload": {payload}}}\n' for n in range(count)))
    return path


PRODUCT = {"sku": "A", "image": "https://shop.example/a.jpg", "prompt": "turns"}
PRINTING = (
    "status",
    "results --help",
    "map --show csv",
    "map --check csv products.json",
    "submit jobs.ndjson --dry-run",
    "workflows",
    "cancel a",
)


@pytest.mark.parametrize("command", PRINTING)
def test_a_full_disk_is_one_line(command: str, redis_server: RedisServer, tmp_path: Path) -> None:
    """Whatever was to be printed: said, exit 1, and no traceback."""
    jobs_file(tmp_path, 3)
    (tmp_path / "products.json").write_text(json.dumps(PRODUCT))
    done = shell(f"{command} > /dev/full", redis_server, tmp_path, quick_aigc())
    assert (done.returncode, done.stderr) == (1, "aigc: cannot write: No space left on device\n")


@pytest.mark.parametrize("where", ["> /dev/full", "--ids /dev/full"])
def test_jobs_are_known_to_be_queued_where_their_ids_find_no_room(
    where: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    """They are bought all the same, so it says how many."""
    jobs_file(tmp_path, 2000)
    done = shell(f"submit jobs.ndjson {where}", redis_server, tmp_path, quick_aigc())
    early, full = done.stderr.splitlines()
    assert (done.returncode, full) == (1, "aigc: cannot write: No space left on device")
    assert early.startswith("aigc: ended early: ")
    assert redis_server.client().llen("aigc") > 0


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_output_is_as_good_as_none(closed: str, redis_server: RedisServer, tmp_path: Path) -> None:
    """What is printed must not go into a connection that got the number of what was closed."""
    jobs_file(tmp_path, 2000)
    done = shell(f"submit jobs.ndjson {closed}", redis_server, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert redis_server.client().llen("aigc") == 2000 / 50


def test_closed_input_is_empty(redis_server: RedisServer, tmp_path: Path) -> None:
    """As `< /dev/null`."""
    done = shell("submit - <&-", redis_server, tmp_path)
    assert (done.returncode, done.stderr) == (1, "aigc: <stdin>: no jobs in it\n")


def test_interrupted_it_says_how_far_it_came(redis_server: RedisServer, tmp_path: Path) -> None:
    """Ctrl-C in the middle of a file: who reads it knows that some of it is in the queue."""
    command = [*shlex.split(AIGC), "submit", str(jobs_file(tmp_path, 200_000))]
    environ = foreign_environ() | {"AIGC_REDIS_URL": redis_server.url, "XDG_STATE_HOME": str(tmp_path)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        until(lambda: redis_server.client().llen("aigc") > 40, "some messages")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read().decode()
        assert process.wait(PATIENCE_S) == 130
    assert "aigc: ended early: " in said
    assert "Traceback" not in said
