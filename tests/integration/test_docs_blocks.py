"""Every code block of README and docs does what a reader expects of it: it runs, or it is what it says."""

from __future__ import annotations

import json
import os
import re
import sysconfig
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tasks import Output, Result
from tasks.envelope import Job, encode
from tests.conditions import until
from tests.integration.blocks import ENDING, Block, Reader, blocks, lines, parse
from tests.integration.stage import CAT, Stage, faulty, working
from tests.ports import default_ports, free_port
from tests.quick_python import commands
from worker import mapping
from worker.store.keys import KeyNames
from worker.store.malformed import MalformedMessages

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/**/*.md")])
BLOCKS = {page.relative_to(ROOT).as_posix(): blocks(page.read_text("utf-8")) for page in PAGES}
WITH_BLOCKS = [page for page, found in BLOCKS.items() if any(block.language != "text" for block in found)]
ENDS = {"docs/operations.md": {"submitted", "unknown", "rejected"}}
"""How jobs of a page may end, where it is about those that did not end well."""

PLACEHOLDER = re.compile(r"\b(JOB|TASK_ID|NAME)\b")
"""What an operator puts another word for."""

NOT_RUN = 21
"""How many blocks may be marked so, at most."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """What all pages share: a Redis, a vendor and a worker."""
    with working() as stage:
        yield stage


@pytest.fixture(scope="module")
def path() -> Iterator[str]:
    """A PATH whose `aigc` and `python` start quickly."""
    with commands() as folder:
        yield f"{folder}:{sysconfig.get_path('scripts')}:{os.environ['PATH']}"


@pytest.fixture
def reader(stage: Stage, path: str, page: str, tmp_path: Path) -> Iterator[Reader]:
    """One who reads a page, beside the examples; what the page starts ends with it."""
    environment = {**stage.env(LOG_FORMAT="human"), "PATH": path, "PYTHONUNBUFFERED": "1"}
    ports = {"6379": str(stage.server.port), "8081": stage.vendor.url.rpartition(":")[2]}
    if any("aigc sandbox" in block.text for block in BLOCKS[page]):
        ports = {p: str(free_port()) for p in ports}  # the page starts its own, and says what they need
        for setting in ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY"):
            del environment[f"AIGC_{setting}"]
    environment["AIGC_QUEUE"] = queue_of(page)
    ports["8091"] = str(free_port())  # of `aigc events`
    streams = {"aigc:outputs": f"{queue_of(page)}:outputs"}  # which a program without our package has to name
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "jobs.ndjson").write_bytes((ROOT / "examples" / "jobs.ndjson").read_bytes())
    with default_ports():  # a page leaves some ports unsaid, and another checkout reads the same pages
        reader = Reader(tmp_path, environment, ports | streams)
        yield reader
        reader.close()
    for key in stage.redis.scan_iter("*:forward*"):
        stage.redis.delete(key)  # the doctor of a later page would say that nobody forwards there


def queue_of(page: str) -> str:
    """One of its own for each page that starts a worker: the jobs are for that one, with its settings."""
    starts = (block.marker != "not run" and "aigc worker" in block.text for block in BLOCKS[page])
    return f"aigc-of-{Path(page).stem}" if any(starts) else "aigc"


@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_blocks_of_a_page(stage: Stage, reader: Reader, page: str) -> None:
    """Each block runs after those before it; data is good, a message is a job, and all jobs end well."""
    results = f"{queue_of(page)}:results"
    before = stage.redis.xlen(results)
    for block in BLOCKS[page]:
        try:
            follow(stage, reader, block)
        except Exception as error:
            raise AssertionError(f"{page}:{block.line}: {error}") from error
    stage.drain()
    ended = [json.loads(fields[b"result"]) for _, fields in stage.redis.xrange(results)[before:]]
    assert {result["status"] for result in ended} <= ENDS.get(page, {"submitted"})


def follow(stage: Stage, reader: Reader, block: Block) -> None:
    """Do with a block what a reader does."""
    if block.language == "text" or block.marker == "not run":
        return
    if block.title:
        reader.save(block)
    if block.marker == "each line alone":
        for line in lines(block):
            reader.run_line(line, partial(PLACEHOLDER.sub, lambda found: prepared(stage, reader, found[0])))
    elif block.language not in ENDING:
        check(stage, parse(block))
    elif not block.title:
        reader.run(block)


def prepared(stage: Stage, reader: Reader, word: str) -> str:
    """What an operator decides about: a job that is held, or a malformed message and what mends it."""
    if word == "TASK_ID":
        return str(uuid.uuid4())
    if word == "JOB":
        job_id = stage.enqueue(faulty("reset_after_accept"))
        assert stage.result(job_id)["status"] == "unknown"
        return job_id
    known = len(stage.malformed())
    stage.redis.lpush("aigc", f"no message {uuid.uuid4()}")
    until(lambda: len(stage.malformed()) > known, "the malformed message")
    (reader.directory / "m.json").write_bytes(encode(Job(str(uuid.uuid4()), CAT), "aigc"))
    return list(MalformedMessages(stage.redis, KeyNames("aigc", "aigc:results")))[-1].name


def check(stage: Stage, value: Any) -> None:
    """A message of the queue is queued and bought; results, outputs and mappings are read as elsewhere."""
    match value:
        case {"job": [*jobs]}:
            mapping.from_document({"mapping": {}, **value, "job": jobs}, "the block")
        case {"body": _, "headers": {"id": _}}:
            job_id = str(uuid.uuid4())
            stage.redis.lpush("aigc", json.dumps({**value, "headers": {**value["headers"], "id": job_id}}))
            assert stage.result(job_id)["status"] == "submitted"
        case {"schema": 1, "jobId": job_id, "attempts": _}:
            assert Result.from_json(json.dumps(value)).job_id == job_id
        case {"schema": 1, "taskId": task_id, "vendorStatus": _}:
            assert Output.from_json(json.dumps(value)).task_id == task_id


@pytest.mark.parametrize("page", BLOCKS)
def test_every_block_says_what_it_is(page: str) -> None:
    """A block has a language that is known, or is text; one that is not run says why."""
    for block in BLOCKS[page]:
        where = f"{page}:{block.line}"
        assert block.language, f"{where} is indented, or its fence names no language"
        if block.language not in (*ENDING, "text"):
            parse(block)
        assert block.words or block.marker not in ("not run", "until"), where


def test_few_blocks_are_not_run() -> None:
    """Those that install, need a cluster or Docker, buy from the real vendor, or take minutes."""
    marked = {
        page: [block.line for block in found if block.marker == "not run"] for page, found in BLOCKS.items()
    }
    assert sum(map(len, marked.values())) <= NOT_RUN, marked


def test_a_block_that_fails_fails(tmp_path: Path) -> None:
    """The reader sees an exit code and what is not printed; bad data and an unknown language are told."""
    reader = Reader(tmp_path, os.environ, {})
    reader.run(Block(1, "sh", "export A=1\nfalse || true"))
    assert reader.run(Block(2, "sh", "echo $A")) == "1\n"
    wrongs = {"sh": "false", "python": "1 / 0"}
    wrong = [Block(number, language, text) for number, (language, text) in enumerate(wrongs.items(), 3)]
    for block in (*wrong, Block(5, "sh", "false | true"), Block(6, "sh", "ls", marker="until", words="b")):
        with pytest.raises(AssertionError):
            reader.run(block)
    for language, text in {"json": "{", "toml": "a", "csv": "a,b\n1", "ndjson": "{}\n{", "perl": ""}.items():
        with pytest.raises(ValueError, match=r"\w"):
            parse(Block(7, language, text))
    reader.close()


def test_what_a_reader_puts_in_is_left_alone(tmp_path: Path) -> None:
    """The ports of a page are others here; the digits of one in a job's id are not."""
    reader = Reader(tmp_path, os.environ, {"8081": "18081"})
    name = "c8081f61-8081-4dee-8c7c-2542e350a27c"
    shown = reader.run_line("echo JOB 8081", lambda line: line.replace("JOB", name))
    assert shown == f"{name} 18081\n"
    reader.close()


def test_blocks_are_found() -> None:
    """Fenced or indented, with title and marker."""
    page = "<!-- not run: it is slow -->\n\n```sh\nls\n```\n\n    indented\n\n"
    page += '```toml title="a.toml"\na = 1\n```\n'
    assert blocks(page) == [
        Block(3, "sh", "ls\n", "", "not run", "it is slow"),
        Block(7, "", "indented\n"),
        Block(9, "toml", "a = 1\n", "a.toml"),
    ]
