"""`aigc workflows`, `aigc schema`, and commands that check payloads by a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.declared import current
from tasks.payload import LISTED_NAMES
from tests.unit.tasks.declared.entries import EXAMPLE
from worker.cli import run


@pytest.fixture(autouse=True)
def _without_file(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("AIGC_WORKFLOWS_FILE", raising=False)
    current.use(None)
    yield
    current.use(None)


def test_workflows_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, aligned: name, version, where from, fields; or JSON with the schema."""
    monkeypatch.setenv("AIGC_WORKFLOWS_FILE", str(EXAMPLE))
    assert run(["workflows"]) == 0
    assert capsys.readouterr().out.splitlines()[:4] == [
        "WORKFLOW     VERSION  FROM    ALGOINPUT",
        "TEXT2IMAGE   1.0.0    file    prompt, seed",
        "LOOKBOOK     *        file    title, style?, images (image), logo? (image)",
        "TEXT2IMAGE   *        vendor  inputText, width, height",
    ]
    assert run(["workflows", "--json"]) == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert documents[0]["schema"]["required"] == ["prompt", "seed"]


def test_schemas_are_listed_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By name, or all into a folder; an unknown name is bad usage."""
    assert run(["schema"]) == 0
    names = capsys.readouterr().out.split()
    assert names == ["result", "output", "batch-event", "job", "payload", *LISTED_NAMES]
    assert run(["schema", "--all", str(tmp_path / "x")]) == 0
    assert {file.stem for file in (tmp_path / "x").iterdir()} == {*names}
    assert run(["schema", "result"]) == 0
    assert capsys.readouterr().out == (tmp_path / "x" / "result.json").read_text("utf-8")
    assert run(["schema", "resutl"]) == 2
    assert "there are result, output, batch-event, job" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["submit", "-"], ["workflows"], ["schema"], ["sandbox", "--port", "0"]])
def test_a_wrong_file_fails_a_command_once(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no fault of each job in turn."""
    monkeypatch.setenv("AIGC_WORKFLOWS_FILE", str(tmp_path / "no.toml"))
    assert run(command) == 1
    assert capsys.readouterr().err == (
        f"aigc: AIGC_WORKFLOWS_FILE: {tmp_path}/no.toml must be a file that can be read:"
        " No such file or directory\n"
    )
