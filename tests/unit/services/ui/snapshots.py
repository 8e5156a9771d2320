"""A snapshot in which each number is another one."""

from __future__ import annotations

from typing import Any

from worker.store.metric_fields import counted
from worker.store.metrics import Snapshot

STORED = {
    b"a|accepted|0.25|TEXT2IMAGE": b"3", b"a|unknown|-|TEXT2IMAGE": b"1", b"ams|TEXT2IMAGE": b"600",
    b"j|submitted|2.5|TEXT2IMAGE": b"3", b"jms|TEXT2IMAGE": b"4200", b"j|rejected|-|-": b"2",
    b"j|cancelled|-|a \"name\"": b"1", b"w|a \"name\"": b"1", b"w|TEXT2IMAGE": b"1",
    b"spent|TEXT2IMAGE": b"150000",
}  # fmt: skip


def worker(**changes: Any) -> dict[str, Any]:
    return {"consumes": True, "refused": False} | changes


def snapshot(oldest_job_s: float | None = 12.5, memory_max: int = 2000, waiting: int = 4) -> Snapshot:
    found = {
        "jobs": {
            "waiting": waiting, "sending": 5, "sidings": {"A": 3, "B": 4}, "in_hand_messages": 6,
            "unknown": 8, "exhausted": 9, "rejected": 10, "malformed_messages": 11,
        },
        "oldest_job_s": oldest_job_s,
        "money": {"possible_duplicates": 13, "paid_twice": 14},
        "brake": {"open": True},
        "paused": ["*"],
        "following": {"succeeded": 15, "failed": 16, "lost": 17, "open": 18, "unstored": 19},
        "workers": [worker(), worker(), worker(consumes=False, refused=True)],
        "dead_workers": [worker(consumes=False)],
        "warnings": ["one", "two"],
    }  # fmt: skip
    queued = {"high": 20, "normal": 21, "3": 0, "6": 0, "9": 0, "low": 22}
    lengths = {"aigc": 21, "aigc.high": 20, "aigc.low": 22}
    return Snapshot(found, counted(STORED), queued, lengths, memory_used=1000, memory_max=memory_max)
