"""What of customers is in each key of a queue, and for how long: the table of docs/security.md.

`python -m worker.store.lifetimes` prints it. A test runs jobs and compares Redis's own times to live with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from tasks.frozen import value
from worker.store.keys import TABLE, Key, KeyFamily

Content = Literal["payloads", "metadata", "words", "people", "shops", "-"]

CONTENTS: Final[Mapping[Content, str]] = {
    "payloads": "whole payloads, with prompts and URLs of pictures, and metadata",
    "metadata": "metadata of the producer, task ids, the vendor's error messages; of outputs links and paths",
    "words": "beginnings of what the vendor answered, which may repeat a prompt",
    "people": "users and hosts of operators",
    "shops": "URLs and names of shops and endpoints",
    "-": "ids, names, numbers, times and digests",
}

_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


@value(frozen=True, slots=True)
class Lifetime:
    """Of one key, or of each of a family.

    Args:
        content: what of customers is in it.
        until: in words, for how long; a setting in backquotes decides.
        expires: whether Redis itself deletes it, by its time to live.
        most_s: the longest time to live that it may have, in seconds, or the setting that says it.
    """

    content: Content
    until: str
    expires: Literal["always", "never", "once it ended"] = "never"
    most_s: int | str = 0


_LIVING: Final = "for as long as a worker is there"
_KEPT: Final = "for as long as the queue is there"

LISTS: Final = Lifetime("payloads", "until a worker takes the message")
RESULTS: Final = Lifetime("metadata", "the last `AIGC_RESULTS_MAXLEN`, about")
OUTPUTS: Final = Lifetime("metadata", "the last `AIGC_RESULTS_MAXLEN`, about")

LIFETIMES: Final[Mapping[str, Lifetime]] = {
    "job": Lifetime(
        "words", "`AIGC_JOURNAL_TTL_S` after its end; a held one until it is decided about",
        "once it ended", 400 * _DAY_S,
    ),
    "unacked": Lifetime("payloads", "until the job is settled"),
    "workers": Lifetime("-", _LIVING),
    "identities": Lifetime("-", _LIVING),
    "last_polls": Lifetime("-", _LIVING),
    "troubles": Lifetime("-", _LIVING),
    "refused": Lifetime("-", _LIVING),
    "refusals": Lifetime("words", _LIVING),
    "descriptions": Lifetime("-", _LIVING),
    "routes": Lifetime("-", _LIVING),
    "sending": Lifetime("-", "until the attempt is settled"),
    "slot_waiters": Lifetime("-", "seconds"),
    "slot_asks": Lifetime("-", "seconds"),
    "wake": Lifetime("-", "a minute", "always", 60),
    "delayed": Lifetime("-", "until the job goes on"),
    "delayed_messages": Lifetime("payloads", "until the job goes on"),
    "backlogs": Lifetime("-", "until its jobs go on"),
    "backlog": Lifetime("payloads", "until the job goes on"),
    "unfinished": Lifetime("-", "until Redis takes the steps"),
    "refusing": Lifetime("-", "seconds", "always", 6),
    "dead_letters": Lifetime("-", "`AIGC_JOURNAL_TTL_S`; unknown ones until somebody decides"),
    "dead_letter_messages": Lifetime("payloads", "as long as the dead letter"),
    "dead_letter_results": Lifetime("metadata", "as long as the dead letter"),
    "decisions": Lifetime("people", "the last 100,000"),
    "malformed": Lifetime("payloads", "the last 10,000, until somebody decides"),
    "counters": Lifetime("-", _KEPT),
    "metrics": Lifetime("-", _KEPT),
    "history": Lifetime("-", "the last 1,600 minutes in which a worker was there"),
    "breaker": Lifetime("words", "an hour after the last failure", "always", _HOUR_S),
    "adaptive_rate": Lifetime("-", "an hour after the last slow-down", "always", _HOUR_S),
    "rate": Lifetime("-", "minutes", "always", _HOUR_S),
    "workflow_rate": Lifetime("-", "minutes", "always", _HOUR_S),
    "workflows": Lifetime("-", _KEPT),
    "paused": Lifetime("-", "until `aigc resume`"),
    "batch": Lifetime("-", "five weeks after its last change, longer with an ETA", "always", 400 * _DAY_S),
    "batch_names": Lifetime("-", "as long as the batches"),
    "batch_events": Lifetime("-", "the last 10,000"),
    "cancels": Lifetime("-", "400 days after the last one", "always", 400 * _DAY_S),
    "dedupe": Lifetime("-", "the `dedupe_ttl_s` that its producer gave", "always", 3660 * _DAY_S),
    "event": Lifetime("-", "`remember_s` of the events' configuration", "always", 3660 * _DAY_S),
    "debounce": Lifetime("-", "the debounce of its mapping", "always", 3660 * _DAY_S),
    "shops": Lifetime("shops", _KEPT),
    "event_problems": Lifetime("shops", "the last 1,000"),
    "forwards": Lifetime("shops", "until `aigc forward forget`"),
    "forward_state": Lifetime("words", "until `aigc forward forget`"),
    "forward_lease": Lifetime("-", "half a minute", "always", 30),
    "forward_retries": Lifetime("metadata", "until the endpoint takes it, or it is given up"),
    "forward_failed": Lifetime("metadata", "the last 100,000, until `aigc forward forget`"),
    "forward_replays": Lifetime("-", "until the replay is done"),
    "clock": Lifetime("-", _KEPT),
    "task": Lifetime("metadata", "`AIGC_JOURNAL_TTL_S` after its end", "once it ended", "AIGC_JOURNAL_TTL_S"),
    "open_tasks": Lifetime("-", "until the task ends"),
    "tasks_accepted": Lifetime("-", "until the task ends"),
    "unstored_tasks": Lifetime("-", "until its file is kept, or `aigc task forget`"),
    "task_durations": Lifetime("-", _KEPT),
    "query_rate": Lifetime("-", "minutes", "always", _HOUR_S),
    "task_deadline": Lifetime("-", "an hour after the last worker followed", "always", _HOUR_S),
    "task_troubles": Lifetime("words", "an hour", "always", _HOUR_S),
}  # fmt: skip
"""By the name that `worker.store.keys` has for it."""


def family_of(stored: str) -> str | None:
    """The name in `LIFETIMES` of what is stored behind the queue's name and a colon; None for none."""
    for name, key in TABLE.items():
        if isinstance(key, Key) and stored == key.stored:
            return name
    families = [
        name
        for name, key in TABLE.items()
        if isinstance(key, KeyFamily) and stored.startswith(f"{key.stored}:")
    ]
    return max(families, key=lambda name: len(TABLE[name].stored), default=None)


def table() -> str:
    """The rows in Markdown, those with something of customers first."""
    rows = [
        ("the lists: `aigc`, `aigc.high`, `aigc.low`, and Celery's", "queued messages", LISTS),
        ("`aigc:results`", "how jobs ended", RESULTS),
        ("`aigc:outputs`", "what became of tasks", OUTPUTS),
        *((_shown(TABLE[name]), TABLE[name].holds, of) for name, of in LIFETIMES.items()),
    ]
    order = list(CONTENTS)
    rows.sort(key=lambda row: order.index(row[2].content))
    lines = [f"| {name} | {_about(holds)} | {of.content} | {of.until} |" for name, holds, of in rows]
    return "\n".join(["| key | what | of customers | how long |", "|---|---|---|---|", *lines])


def _shown(key: Key | KeyFamily) -> str:
    return f"`aigc:{key.stored}{':*' if isinstance(key, KeyFamily) else ''}`"


def _about(holds: str) -> str:
    """Without the words for programmers that follow a semicolon."""
    return holds.partition(";")[0].replace("<", "").replace(">", "").replace("|", " and ")


if __name__ == "__main__":
    print(table())
