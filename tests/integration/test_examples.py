"""Each program in examples/ does what it says, against a real worker, the embedded Redis and the sandbox."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stage import PATIENCE_S, Stage, working

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))
LONGEST = 40
"""Lines of an example: what is longer is not read."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with working() as stage:
        yield stage


def run(stage: Stage, name: str, *arguments: str) -> list[str]:
    """The lines that an example prints, as a shop runs it; it must succeed."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    environment = {**stage.env(), "PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_one_job_is_queued(stage: Stage) -> None:
    """It prints the id of a job that ends submitted, with its metadata."""
    (job_id,) = run(stage, "enqueue_one.py", "a dog")
    result = stage.result(job_id)
    assert (result["status"], result["metadata"]) == ("submitted", {"sku": "A-1"})


def test_many_jobs_are_queued(stage: Stage) -> None:
    """It prints the ids in order, and each of the jobs ends submitted."""
    ids = run(stage, "enqueue_many.py", "60")
    assert ids == [f"catalogue-{number}" for number in range(60)]
    assert {stage.result(job_id)["status"] for job_id in ids} == {"submitted"}


def test_results_are_consumed(stage: Stage) -> None:
    """It prints a line for each result that there is, with the vendor's task id where there is one."""
    (job_id,) = run(stage, "enqueue_one.py")
    task_id = stage.result(job_id)["taskId"]
    lines = run(stage, "consume_results.py", "shop", "0")
    assert len(lines) == len(stage.results())
    assert f"{job_id} is the vendor's task {task_id} (A-1)" in lines


def test_an_asyncio_program_waits_for_its_result(stage: Stage) -> None:
    """It prints the result of the job that it queued itself."""
    (line,) = run(stage, "listen_asyncio.py")
    job_id, status, task_id = line.split()
    assert status == "submitted"
    assert stage.result(job_id)["taskId"] == task_id


def test_any_celery_app_queues_a_job(stage: Stage) -> None:
    """It imports nothing of ours, and its job ends like any other."""
    (job_id,) = run(stage, "send_task.py", stage.server.url)
    assert stage.result(job_id)["status"] == "submitted"
    assert "import tasks" not in (text := (EXAMPLES / "send_task.py").read_text())
    assert "from tasks" not in text


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_is_short_and_tested(name: str) -> None:
    """It has a docstring, fewer lines than a page, and a test above that runs it."""
    text = (EXAMPLES / name).read_text()
    assert text.startswith('"""')
    assert len(text.splitlines()) < LONGEST
    assert f'"{name}"' in Path(__file__).read_text()
