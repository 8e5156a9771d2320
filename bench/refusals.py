"""How much of a vendor that refuses posts (429) is used: the table in docs/operations.md, printed.

Once `./dev` has made its environment: ``.venv/bin/python -m bench.refusals``. One real worker against the
sandbox, in about ten minutes; it wants the machine for itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis

from tasks.contract import DEFAULT_QUEUE
from tasks.envelope import Job, encode
from worker.dev.embedded import EmbeddedRedis
from worker.dev.sandbox import Config, running
from worker.domain.signing import Credentials

CONCURRENCY, LATENCY_MS = 20, 100
MOST_PER_S: Final = CONCURRENCY * 1000 / LATENCY_MS
KEYS = Credentials("refusals", "refusals-secret")
Play = Callable[["Vendor", threading.Event], None]


class Vendor:
    """The sandbox's control side."""

    def __init__(self, url: str) -> None:
        self.url = url

    def rules(self, *rules: str) -> None:
        body = json.dumps({"rules": rules}).encode()
        urllib.request.urlopen(f"{self.url}/_sandbox/rules", body, timeout=10).close()

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_sandbox/stats", timeout=10) as answer:
            stats: dict[str, Any] = json.load(answer)
        return stats


def always(*rules: str) -> Play:
    """These rules, all the time."""
    return lambda vendor, _: vendor.rules(*rules)


def in_bursts(rule: str, length_s: float, every_s: float) -> Play:
    """All posts are refused for a while, now and then."""

    def play(vendor: Vendor, ended: threading.Event) -> None:
        while not ended.wait(every_s - length_s):
            vendor.rules(rule)
            ended.wait(length_s)
            vendor.rules()

    return play


CASES: Final[dict[str, tuple[float, Play]]] = {
    "none": (1.0, always()),
    "3% at random": (0.97, always("throttle:3%")),
    "10% at random": (0.9, always("throttle:10%")),
    "50% at random": (0.5, always("throttle:50%")),
    "3% at random, Retry-After 5 s": (0.97, always("throttle(5):3%")),
    "10% at random, Retry-After 5 s": (0.9, always("throttle(5):10%")),
    "50% at random, Retry-After 5 s": (0.5, always("throttle(5):50%")),
    "all, for 0.3 s of each 10 s": (0.97, in_bursts("throttle", 0.3, 10)),
    "all, for 1 s of each 10 s": (0.9, in_bursts("throttle", 1, 10)),
    "all, for 5 s of each 10 s": (0.5, in_bursts("throttle", 5, 10)),
    "all, for 1 s of each 10 s, Retry-After 1 s": (0.9, in_bursts("throttle(1)", 1, 10)),
}


@contextmanager
def _worker(redis_url: str, vendor_url: str, directory: str) -> Iterator[None]:
    ours = {
        "AIGC_REDIS_URL": redis_url, "AIGC_ENDPOINT": vendor_url, "AIGC_CONCURRENCY": str(CONCURRENCY),
        "AIGC_ACCESS_KEY": KEYS.access_key, "AIGC_SECRET_KEY": KEYS.secret_key, "AIGC_STATE_DIR": directory,
        "AIGC_LOG_LEVEL": "ERROR",
    }  # fmt: skip
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker"]
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(command, env=os.environ | ours, stdout=nowhere, stderr=nowhere)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _measure(play: Play, begins_s: float, seconds: float) -> tuple[float, float]:
    """Posts a second that were let through, and the share of all that were refused, after the beginning."""
    config = Config(keys=[KEYS], latency_ms=LATENCY_MS)
    with (
        EmbeddedRedis() as server,
        running(config) as url,
        tempfile.TemporaryDirectory() as directory,
        _worker(server.url, url, directory),
    ):
        _enqueue(server.url, round(2 * MOST_PER_S * (begins_s + seconds)))
        vendor, ended = Vendor(url), threading.Event()
        player = threading.Thread(target=play, args=(vendor, ended))
        player.start()
        _until_it_works(vendor)
        time.sleep(begins_s)
        before, began = vendor.stats(), time.monotonic()
        time.sleep(seconds)
        after, took_s = vendor.stats(), time.monotonic() - began
        ended.set()
        player.join()
    through, posts = after["accepted"] - before["accepted"], after["posts"] - before["posts"]
    return through / took_s, 1 - through / posts


def _enqueue(redis_url: str, jobs: int) -> None:
    client: Any = redis.Redis.from_url(redis_url)
    picture = {"inputText": "a cat", "width": 1024, "height": 1024}
    payload = {"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput": picture}
    for begin in range(0, jobs, 1000):
        each = (Job(f"job-{number}", payload) for number in range(begin, begin + 1000))
        client.lpush(DEFAULT_QUEUE, *(encode(job, DEFAULT_QUEUE) for job in each))
    client.close()


def _until_it_works(vendor: Vendor) -> None:
    end = time.monotonic() + 60
    while not vendor.stats()["posts"]:
        if time.monotonic() > end:
            sys.exit("the worker does not post")
        time.sleep(0.1)


def main() -> None:
    """Measure each case, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--begins", type=float, default=20, help="seconds that do not count (20)")
    parser.add_argument("--seconds", type=float, default=40, help="seconds that do (40)")
    options = parser.parse_args()
    print("| refused | let through | of what is possible | refused in all |\n|---|---|---|---|")
    possible = MOST_PER_S
    for name, (share, play) in CASES.items():
        per_s, refused = _measure(play, options.begins, options.seconds)
        if name == "none":
            possible = per_s
        print(
            f"| {name} | {per_s:.0f} a second | {per_s / (share * possible):.0%} | {refused:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
