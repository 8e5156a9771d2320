"""What a soak measures beside its invariants: memory, threads, descriptors, and keys that should not grow."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final

from tasks.contract import DEFAULT_OUTPUTS, DEFAULT_QUEUE, DEFAULT_RESULTS
from tests.chaos.arena import Arena
from tests.integration.stage import Worker

OF_JOBS: Final = ("job", "task", "batch")
"""Families of keys that have one for each job, task or batch of the last days, as documented."""

SCAN_PAGE: Final = 5000
KEYS_MOST: Final = 60
"""Of each other family, once nothing is under way."""

ROWS: Final = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment: of Redis, and of the worker that lives from the beginning to the end. Sizes in MB."""

    minute: float
    jobs: int
    redis_mb: float
    redis_rss_mb: float
    worker_rss_mb: float
    worker_threads: int
    worker_descriptors: int


def sample(arena: Arena, veteran: Worker, minute: float) -> Sample:
    """Take one. Raises redis.RedisError."""
    memory = arena.redis.info("memory")
    status = Path(f"/proc/{veteran.process.pid}/status").read_text()
    return Sample(
        round(minute, 1),
        len(arena.orders),
        _mb(memory["used_memory"]),
        _mb(memory["used_memory_rss"]),
        _mb(1024 * _number(status, "VmRSS")),
        _number(status, "Threads"),
        len(os.listdir(f"/proc/{veteran.process.pid}/fd")),
    )


def left_over(arena: Arena) -> Iterator[str]:
    """What should not be there once nothing is under way, in words."""
    client: Any = arena.redis
    living = client.zcard(f"{DEFAULT_QUEUE}:workers")
    # Not "routes": who comes back from the dead and settles leaves an entry there, until janitors look.
    for name in ("homes", "descriptions", "pulses", "troubles", "refusals"):
        if (count := client.hlen(f"{DEFAULT_QUEUE}:{name}")) > living:
            yield f"{count} entries in {name}, of {living} workers"
    if unfinished := client.scard(f"{DEFAULT_QUEUE}:unfinished"):
        yield f"{unfinished} jobs have steps left"
    if len(files := list(Path(arena.directory).glob("in-flight-*"))) > living:
        yield f"{len(files)} in-flight logs, of {living} workers"
    for family, count in families(arena).items():
        if family not in OF_JOBS and count > KEYS_MOST:
            yield f"{count} keys of {family}"


def families(arena: Arena) -> Counter[str]:
    """How many keys there are of each family."""
    found = Counter[str]()
    for key in arena.redis.scan_iter(count=SCAN_PAGE):
        name = key.decode("utf-8", "replace")
        if name not in (DEFAULT_RESULTS, DEFAULT_OUTPUTS):
            found[name.split(":")[1] if name.startswith(f"{DEFAULT_QUEUE}:") else name] += 1
    return found


def table(samples: Sequence[Sample]) -> str:
    """The samples as a table in Markdown, a dozen of them and the last."""
    step = max(1, len(samples) // ROWS)
    lines = [
        "| minute | jobs | Redis, MB | its RSS, MB | a worker's RSS, MB | its threads | its descriptors |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += ["| " + " | ".join(map(str, astuple(each))) + " |" for each in (*samples[::step], samples[-1])]
    return "\n".join(lines)


def _mb(size: float) -> float:
    return round(size / 2**20, 1)


def _number(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert found, name
    return int(found[1])
