"""`aigc batch`, and `aigc submit --batch`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import tasks
from tasks import batches
from tests.integration.stage import text
from tests.redis_server import RedisServer
from worker.cli import run


@pytest.fixture(autouse=True)
def _here(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    redis_server.client().flushall()
    monkeypatch.setenv("AIGC_REDIS_URL", redis_server.url)
    tasks.configure()
    yield
    tasks.configure()


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Two good jobs, of which one names a batch of its own, and a bad one."""
    path = tmp_path / "jobs.ndjson"
    jobs = [text("one"), text("two"), {"workflow": "TEXT2IMAGE"}]
    path.write_text("\n".join(map(json.dumps, jobs)))
    return str(path)


def test_a_file_is_a_batch_that_is_closed_at_its_end(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Unless it is to be kept open; a name that was used before is told."""
    assert run(["submit", file, "--batch", "b", "--keep-open"]) == 1
    assert not batches.progress("b").closed
    assert run(["submit", file, "--batch", "b"]) == 1
    assert (batches.progress("b").total, batches.progress("b").closed) == (4, True)
    assert "was closed" not in capsys.readouterr().err
    assert run(["submit", file, "--batch", "b"]) == 1
    assert "batch b was closed at" in capsys.readouterr().err
    assert run(["submit", file, "--batch", "a b"]) == run(["submit", file, "--keep-open"]) == 2


def test_a_batch_is_shown_listed_and_closed(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In words on a terminal, else as JSON where that is asked for."""
    run(["submit", file, "--batch", "b", "--keep-open"])
    capsys.readouterr()
    assert run(["batch", "show", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "batch      b: open",
        "jobs       2, 0 ended (0.0 %), 2 waiting",
        "ended      none",
    ]
    assert run(["batch", "show", "b", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["total"], shown["waiting"], shown["workflows"]) == (2, 2, {"TEXT2IMAGE": {"waiting": 2}})
    assert run(["batch", "list"]) == 0
    assert capsys.readouterr().out.split()[:4] == ["b", "2", "2", "0"]
    assert run(["batch", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) | {"timeLeftS": None} == shown
    assert run(["batch", "close", "b"]) == 0
    assert json.loads(capsys.readouterr().out)["closedAt"]


@pytest.mark.parametrize("command", ["show", "close"])
def test_a_batch_that_is_not_there_is_a_failure(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1; a name that none can have is bad usage."""
    assert run(["batch", command, "nobody"]) == 1
    assert "no job was queued in a batch nobody" in capsys.readouterr().err
    assert run(["batch", command, "a b"]) == 2
