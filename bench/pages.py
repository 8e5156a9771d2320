"""What an operator's look costs: ``python -m bench.pages [DEAD LETTERS]``, on a Redis of its own.

Pages of dead letters, the page of `aigc ui` with all of them, and the bytes of a day's history. Prints what
it finds, with the load of the machine: on a busy one, distrust all times.
"""

from __future__ import annotations

import os
import random
import re
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, get_args

import requests

from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS, Status
from tasks.result import Result
from tasks.times import utc_iso
from worker.dev.embedded import EmbeddedRedis
from worker.domain.outcome import OutcomeKind
from worker.store.dead_letter_page import page
from worker.store.dead_letters import DeadLetterFilter
from worker.store.history_values import NO_LATENCY, Sample, to_json
from worker.store.keys import DEAD_LETTER_STATES, KeyNames
from worker.store.scripts import Scripts

KEYS: Final = KeyNames(DEFAULT_QUEUE, DEFAULT_RESULTS)
AGO_S: Final = 1 / 8
"""Between two dead letters: eight ended in each second."""
TIMES: Final = 15
CHUNK: Final = 2000
A_DAY: Final = 1440


def main() -> int:
    """Measure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with EmbeddedRedis() as server:
        scripts = Scripts(server.url, (KEYS.queue, KEYS.results), connections=2)
        _history(scripts.client)
        now_s = time.time()
        _fill(scripts.client, count, now_s)
        _say(f"{count:,} dead letters; load {os.getloadavg()[0]:.1f}")
        _letters(scripts, now_s - count * AGO_S / 2)
        with _page(server.url) as url:
            for path in ("/", "/?window=day", "/?state=unknown", "/?code=NONE"):
                _measure(f"GET {path}", partial(_get, url + path), pause_s=1.05)
        _say(f"load {os.getloadavg()[0]:.1f}")
        scripts.close()
    return 0


def _fill(client: Any, count: int, now_s: float) -> None:
    rng = random.Random(1)
    for start in range(0, count, CHUNK):
        with client.pipeline(transaction=False) as pipe:
            for number in range(start, min(count, start + CHUNK)):
                _add(pipe, number, str(uuid.UUID(int=rng.getrandbits(128))), int(now_s - number * AGO_S))
            pipe.execute()


def _add(pipe: Any, number: int, job_id: str, second: int) -> None:
    state, workflow = DEAD_LETTER_STATES[number % 3], ("TEXT2IMAGE", "IMAGE2VIDEO")[number % 2]
    request_id = uuid.uuid4()
    result = Result(
        job_id, state, None, workflow, "1.0.0", 3, str(request_id), "INTCNN_COMMON_SYS_ERROR", "no",
        False, utc_iso(second), {"sku": f"A-{number}"},
    )  # fmt: skip
    pipe.zadd(KEYS.dead_letters(state), {job_id: second})
    pipe.hset(KEYS.dead_letter_results, job_id, result.to_json())
    pipe.hset(KEYS.job(job_id), mapping={"s": state, "n": 3, "r": request_id.bytes * 3})


def _letters(scripts: Scripts, middle_s: float) -> None:
    first = page(scripts, KEYS, DeadLetterFilter(), None, 200)
    rare = DeadLetterFilter(code="NONE")
    looked = page(scripts, KEYS, rare).looked_at
    asked: dict[str, tuple[DeadLetterFilter, str | None]] = {
        "the newest 200": (DeadLetterFilter(), None),
        "the 200 after those": (DeadLetterFilter(), first.older),
        "200 from the middle": (DeadLetterFilter(until_s=middle_s), None),
        "200 of one state": (DeadLetterFilter(("unknown",)), None),
        "200 of which every second is wanted": (DeadLetterFilter(workflow="TEXT2IMAGE"), None),
        f"none is wanted: looks at {looked:,}": (rare, None),
    }
    for name, (wanted, cursor) in asked.items():
        _measure(name, partial(page, scripts, KEYS, wanted, cursor, 200))


def _history(client: Any) -> None:
    for name, number in (("nothing happens", 0), ("each number has seven digits", 10**6)):
        jobs, attempts = (dict.fromkeys(map(str, of), number) for of in (get_args(Status), OutcomeKind))
        latency, gauges = (number,) * len(NO_LATENCY), [number] * 4
        stored = to_json(Sample(0, jobs, attempts, latency, number, *gauges, number))
        client.delete(KEYS.history)
        client.rpush(KEYS.history, *(f"{1_800_000_000_000 + 60_000 * n}|{stored}" for n in range(A_DAY)))
        size = client.memory_usage(KEYS.history, samples=0)
        _say(f"history of a day in which {name}: {size / 1e6:.2f} MB of Redis")


@contextmanager
def _page(redis_url: str) -> Iterator[str]:
    command = [sys.executable, "-c", "from worker.cli import main; main()", "ui", "--port", "0"]
    environ = os.environ | {"AIGC_REDIS_URL": redis_url}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://[^ /]+", process.stdout.readline())
        try:
            assert found, "aigc ui has not started"
            yield found[0]
        finally:
            process.terminate()


def _get(url: str) -> None:
    requests.get(url, timeout=60).raise_for_status()


def _measure(name: str, look: Callable[[], object], pause_s: float = 0.0) -> None:
    taken = []
    for _ in range(TIMES):
        time.sleep(pause_s)  # for so long an answer stands
        began = time.perf_counter()
        look()
        taken.append(1000 * (time.perf_counter() - began))
    _say(f"{name:45} median {statistics.median(taken):6.1f} ms, at most {max(taken):6.1f} ms")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
