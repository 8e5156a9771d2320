"""Tasks are followed while workers and Redis are killed: each that was bought has one output, with its file.

The harness's other scenarios do without following: it changes nothing of how jobs end.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tasks.contract import DEFAULT_OUTPUTS, DEFAULT_QUEUE, OUTPUT_FIELD
from tests.chaos.arena import Arena
from tests.chaos.orders import FAULTS
from tests.chaos.scenarios import Scenario, progress, redis_proxy, settle
from tests.conditions import until
from worker.store.task_record import TASK_FIELDS

RATE_PER_S: Final = 40
LIVES: Final = (
    ("[[task_running(1)]]", "submitted"),
    ("[[task_running(5)]]", "submitted"),
    ("[[query_garbage*1]]", "submitted"),
    ("[[query_throttle(1)*1]]", "submitted"),
    ("[[query_no_url*1]] [[file_cut*1]]", "submitted"),
    ("[[task_fc_error]]", "submitted"),
)
"""What the vendor does with tasks: how they live, and what it answers about them."""

PATIENCE_S: Final = 240.0
SETTINGS: Final = {
    "FOLLOW": "on",
    "QUERY_RATE_PER_S": RATE_PER_S,
    "STORE_NAME": "{task_id}.{ext}",
    "FETCH_ALLOW": "127.0.0.0/8",
}
"""Of workers that follow; beside them goes where they keep files."""


def kills_while_following(arena: Arena, jobs: int) -> None:
    """Two workers follow, and one of them, or Redis, is killed again and again."""
    with followed_by(arena):
        workers = [arena.start(), arena.start()]
        arena.send(arena.order_many(jobs, *FAULTS, *LIVES))
        for blow in range(8):
            _wait_for_outputs(arena, blow / 10 * jobs)
            time.sleep(arena.rng.uniform(0, 0.5))
            if blow % 3 == 2:
                arena.kill_redis(arena.rng.uniform(0, 1))
            victim = arena.rng.randrange(2)
            arena.kill_worker(workers[victim])
            workers[victim] = arena.start()
        progress(arena, 0.95)
        settle(arena)


def cuts_while_following(arena: Arena, jobs: int) -> None:
    """Connections to Redis end in the middle of a command or of its reply."""
    with followed_by(arena), redis_proxy(arena) as proxy:
        arena.start()
        arena.start()
        proxy.share = 0.01
        arena.send(arena.order_many(jobs, *FAULTS, *LIVES))
        _wait_for_outputs(arena, 0.8 * jobs)
        proxy.share = 0.0
        until(lambda: not open_tasks(arena), "all tasks to have ended", PATIENCE_S)


@contextmanager
def followed_by(arena: Arena) -> Iterator[None]:
    """The workers that are started within the block follow; at its end all tasks have to have ended."""
    with tempfile.TemporaryDirectory(prefix="aigc-chaos-pictures-") as pictures:
        arena.settings |= {**SETTINGS, "STORE_URL": f"file://{pictures}"}
        yield
        until(lambda: not open_tasks(arena), "all tasks to have ended", PATIENCE_S)
        arena.complaints += output_violations(arena, Path(pictures))


def _wait_for_outputs(arena: Arena, count: float) -> None:
    until(lambda: arena.redis.xlen(DEFAULT_OUTPUTS) >= count, f"{count:.0f} outputs", PATIENCE_S)


def open_tasks(arena: Arena) -> int:
    return int(arena.redis.zcard(f"{DEFAULT_QUEUE}:tasks:open"))


def output_violations(arena: Arena, pictures: Path, late: int = 0) -> Iterator[str]:
    """What is not as promised of outputs and files.

    Args:
        late: how many queries may come late: a worker that stood still sends what was its turn before.
    """
    entries = arena.redis.xrange(DEFAULT_OUTPUTS)
    outputs = [json.loads(fields[OUTPUT_FIELD.encode()]) for _, fields in entries]
    bought = {result["taskId"] for result in arena.results() if result["status"] == "submitted"}
    for job_id in arena.orders:
        more = arena.redis.hget(f"{DEFAULT_QUEUE}:job:{job_id}", "k2") or b""
        bought.update(more.decode().split())
    told = Counter(output["taskId"] for output in outputs)
    if twice := [task_id for task_id, count in told.items() if count > 1]:
        yield f"more than one output: {len(twice)} tasks, {twice[:3]}"
    if missing := bought - told.keys():
        yield f"bought, and without an output: {len(missing)} tasks, {sorted(missing)[:3]}"
    if strangers := told.keys() - bought:
        yield f"outputs of tasks that no result names: {len(strangers)}, {sorted(strangers)[:3]}"
    yield from _wrong_outputs(arena, outputs, pictures)
    counters = arena.redis.hgetall(f"{DEFAULT_QUEUE}:counters")
    counted = sum(int(count) for name, count in counters.items() if name.startswith(b"tasks_"))
    if counted != len(outputs):
        yield f"{counted} outputs are counted, and {len(outputs)} on the stream"
    busiest = arena.vendor.get("queries?window_s=1")["busiest_window"]
    if busiest > RATE_PER_S + late:
        yield f"{busiest} queries in a second, and no more than {RATE_PER_S} may be"


def _wrong_outputs(arena: Arena, outputs: list[dict[str, Any]], pictures: Path) -> Iterator[str]:
    made = {task["taskId"]: task for task in arena.vendor.get("tasks")}
    files = {path.stem: path for path in pictures.glob("*.*")}
    for output in outputs:
        task, task_id = made[output["taskId"]], output["taskId"]
        wanted = "succeeded" if task["ending"] == "SUCCESS" else "failed"
        record = arena.redis.hget(f"{DEFAULT_QUEUE}:task:{task_id}", TASK_FIELDS["output"].stored)
        if output["status"] != wanted or json.loads(record or b"null") != output:
            yield f"task {task_id} ended {task['ending']}, its output {output}, its record {record!r}"
        if wanted == "failed":
            continue
        path = files.get(task_id)
        kept = hashlib.sha256(path.read_bytes()).hexdigest() if path else None
        if not kept == output["sha256"] == task["sha256"]:
            yield f"the file of task {task_id} is {kept}, its output {output}, made was {task['sha256']}"


FOLLOWING: Final = (
    Scenario("following", kills_while_following),
    Scenario("following, cuts", cuts_while_following, share=0.3),
)
