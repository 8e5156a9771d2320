"""Workflows that a file declares, through real workers and the sandbox; and results by their JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import tasks
import tasks.batches
from tasks.batches.progress import EVENT_FIELD
from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS, RESULT_FIELD
from tasks.declared.file import load
from tests.conditions import PATIENCE_S, until
from tests.integration.desk import Desk
from tests.integration.stage import CAT, Stage, staged
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "workflows.toml"
SCHEMAS = ROOT / "docs" / "reference" / "schemas"
RESULT = json.loads((SCHEMAS / "result.json").read_text("utf-8"))
OLDER = {"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput": {"prompt": "a cat", "seed": 7}}
BOOK = {
    "workflow": "LOOKBOOK",
    "version": "7",
    "algoInput": {"title": "Spring", "images": ["https://shop.example.com/a.jpg"]},
}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One worker with the example, and a vendor that has these workflows too."""
    with RedisServer() as server, staged(server, declared=load(str(EXAMPLE))[0]) as stage:
        stage.worker(WORKFLOWS_FILE=EXAMPLE)
        until(stage.living, "the worker")
        yield stage


@pytest.fixture
def shop(stage: Stage) -> Iterator[None]:
    """This process as a producer with the same file."""
    tasks.configure(redis_url=stage.server.url, workflows_file=str(EXAMPLE))
    yield
    tasks.configure()


@pytest.mark.usefixtures("shop")
def test_declared_workflows_are_submitted(stage: Stage) -> None:
    """Each is one purchase, of exactly what was submitted."""
    for payload in (OLDER, BOOK, {**CAT, "version": "1.0.1"}):
        result = stage.result(tasks.submit(payload))
        assert (result["status"], result["workflow"], result["attempts"]) == (
            "submitted",
            payload["workflow"],
            1,
        )
        assert len(stage.vendor.posts_of(payload)) == 1


def test_the_worker_decides_by_its_own_file(stage: Stage) -> None:
    """A producer that has another one, or none, gets the words; nothing is posted."""
    before = stage.vendor.posts
    result = stage.result(stage.enqueue(CAT))
    assert (result["status"], result["attempts"]) == ("rejected", 0)
    assert "algoInput.prompt: is missing: must be a string of at most 500 characters" in result["errorMsg"]
    wrong = {**BOOK, "algoInput": {"title": "Spring", "images": ["https://shop.example.com/a.webp"]}}
    result = stage.result(stage.enqueue(wrong))
    assert (result["status"], result["attempts"]) == ("rejected", 0)
    assert result["errorMsg"].startswith("algoInput.images[0]: must be a public")
    assert stage.vendor.posts == before


def test_real_results_are_valid_by_the_schema(stage: Stage) -> None:
    """Submitted and refused ones, with metadata and without, as they stand in the stream."""
    jobs = [stage.enqueue(OLDER, metadata={"sku": "A-1"}), stage.enqueue(CAT), stage.put([None], {})]
    assert {stage.result(job)["status"] for job in jobs} == {"submitted", "rejected"}
    validator = Draft202012Validator(RESULT)
    entries = stage.redis.xrange(DEFAULT_RESULTS)
    assert len(entries) >= len(jobs)
    for _, fields in entries:
        validator.validate(json.loads(fields[RESULT_FIELD.encode()]))


@pytest.mark.usefixtures("shop")
def test_a_real_batch_event_is_valid_by_the_schema(stage: Stage) -> None:
    """As it stands in the stream of batches."""
    tasks.submit({**BOOK, "version": "of a batch"}, batch="spring")
    tasks.batches.close("spring")
    assert tasks.batches.wait("spring", timeout_s=PATIENCE_S)
    schema = json.loads((SCHEMAS / "batch-event.json").read_text("utf-8"))
    ((_, fields),) = stage.redis.xrange(f"{DEFAULT_QUEUE}:batches")
    event = json.loads(fields[EVENT_FIELD.encode()])
    Draft202012Validator(schema).validate(event)
    assert (event["batch"], event["statuses"]["submitted"]) == ("spring", 1)


def test_status_warns_of_workers_with_different_files(stage: Stage) -> None:
    """And shows what each has; the desk is a worker too, without a file."""
    desk = Desk(stage.server)
    try:
        (worker,) = [
            each for each in json.loads(desk.aigc("status", "--json").out)["workers"] if each["workflows"]
        ]
        assert worker["workflows"] == load(str(EXAMPLE))[0].digest
        warnings = json.loads(desk.aigc("status", "--json").out)["warnings"]
        assert [line for line in warnings if "workers differ in AIGC_WORKFLOWS_FILE" in line]
    finally:
        desk.close()
