"""The outputs of tasks as real workers leave them: the same in the record, the stream and the channel."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import tasks
from tasks import outputs, results
from tasks.contract import DEFAULT_OUTPUTS
from tasks.outputs import lookup
from tests.conditions import PATIENCE_S
from tests.integration.stage import Stage, faulty, working
from worker.store.keys import KeyNames
from worker.store.task_record import TASK_FIELDS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def stage(folder: Path) -> Iterator[Stage]:
    """With a worker that follows tasks."""
    with working(FOLLOW="on", STORE_URL=f"file://{folder}", FETCH_ALLOW="127.0.0.0/8") as stage:
        tasks.configure(redis_url=stage.server.url)
        yield stage
        tasks.configure()


def test_the_field_and_the_key_are_the_records_own() -> None:
    """Consumers know them by their stored names."""
    assert TASK_FIELDS["output"].stored == lookup.RECORD_FIELD
    assert KeyNames("aigc", "aigc:results").task("t") == "aigc:task:t"


def test_a_picture_is_waited_for_found_and_read_in_every_way(stage: Stage, folder: Path) -> None:
    """One output, with what its job said, and the file where it says it is."""
    listening = outputs.listen(idle_timeout_s=PATIENCE_S)
    job_id = stage.enqueue(faulty(), metadata={"sku": "A-1"})
    task_id = results.wait(job_id, timeout_s=PATIENCE_S).task_id
    assert task_id is not None
    output = outputs.wait(task_id, timeout_s=PATIENCE_S)
    assert (output.job_id, output.status, output.metadata) == (job_id, "succeeded", {"sku": "A-1"})
    assert output.file is not None
    content = Path(output.file).read_bytes()
    assert Path(output.file).is_relative_to(folder)
    assert (output.sha256, output.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert next(listening) == outputs.get(task_id) == output
    assert asyncio.run(outputs.wait_async(task_id, timeout_s=0)) == output
    listening.close()
    assert [each for each in outputs.consume("g", idle_timeout_s=0) if each.task_id == task_id] == [output]


def test_what_a_worker_writes_is_read_back_to_the_letter(stage: Stage) -> None:
    """Each output in the stream, of whichever worker, is what `Output` makes of it."""
    task_id = results.wait(stage.enqueue(faulty()), timeout_s=PATIENCE_S).task_id
    outputs.wait(str(task_id), timeout_s=PATIENCE_S)
    texts = [fields[b"output"].decode() for _, fields in stage.redis.xrange(DEFAULT_OUTPUTS)]
    assert texts
    assert [tasks.Output.from_json(text).to_json() for text in texts] == texts
