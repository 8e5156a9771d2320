"""What jobs are ordered: what the vendor does to each, and how it must end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tasks.envelope import Job

PLAIN: Final = ("", "submitted")
LONG_AGO_MS: Final = 1_600_000_000_000
"""A job that was enqueued then is past its deadline."""

FAULTS: Final = (
    ("[[sys_error*1]]", "submitted"),
    ("[[sys_error*2]]", "submitted"),
    ("[[slow(400)*1]]", "submitted"),
    ("[[param_error*1]]", "rejected"),
)
"""Answers that leave no doubt: what the vendor is told to do, and how the job ends."""
RARE: Final = (
    ("[[sys_error]]", "exhausted"),
    ("[[sys_error]]", "exhausted"),
    ("[[throttle*1]]", "submitted"),
)
"""Once in a scenario: more jobs that fail for good would be an outage, in which attempts are not counted, and
more throttling would have all workers crawl."""
DOUBTS: Final = tuple(
    (f"[[{kind}*1]]", "unknown")
    for kind in (
        "hang(5)", "reset_after_accept", "reset", "garbage", "no_task_id", "html_502", "html_504", "drip",
    )
)  # fmt: skip
"""Answers after which nobody knows whether the job was accepted."""


@dataclass(frozen=True, slots=True)
class Order:
    """A job that was enqueued, the digest of the body that the vendor must see, and how it must end."""

    job: Job
    sha256: str
    ends: str
