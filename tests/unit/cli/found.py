"""What `aigc status --json` has, as a test wants it to be."""

from __future__ import annotations

from typing import Any

HOSTILE = "\x1b[2J\x1b[31m\x1b]0;mine\x07[red]bold[/red]\r\nsecond"
"""Text that clears the screen, colours it, renames its window, is rich's markup, and begins a line."""

WORKER: dict[str, Any] = {
    "name": "w1", "pid": 17, "host": "alpha", "node": "aigc-17@alpha", "version": "0.1.0", "workflows": None,
    "refused": False, "holds_messages": 2, "beat_s": 1.0, "pulse_s": 1.0, "alive": True, "consumes": True,
}  # fmt: skip

NOTHING: dict[str, Any] = {
    "queue": "aigc",
    "jobs": {
        "queued": {}, "in_hand_messages": 0, "sending": 0, "waiting": 0, "sidings": {}, "unknown": 0,
        "exhausted": 0, "rejected": 0, "malformed_messages": 0,
    },
    "oldest_job_s": None,
    "money": {"posts": 0, "submitted": 0, "possible_duplicates": 0, "paid_twice": 0, "held": 0},
    "repeats": {"run_again": 0, "republished": 0, "ignored": 0},
    "brake": {"open": False, "failed_in_a_row": 0},
    "pace": None,
    "following": {
        "open": 0, "oldest_s": None, "succeeded": 0, "failed": 0, "lost": 0, "unstored": 0, "paused": None,
        "workers_follow": False,
    },
    "paused": [],
    "workers": [WORKER],
    "dead_workers": [],
    "warnings": [],
    "unread_lists": [],
    "forwards": [],
}  # fmt: skip


def found(**changes: Any) -> dict[str, Any]:
    """An idle queue with one worker, but for the changes; a mapping adds to what is there."""
    made = dict(NOTHING)
    for name, change in changes.items():
        made[name] = {**made[name], **change} if isinstance(made[name], dict) else change
    return made
