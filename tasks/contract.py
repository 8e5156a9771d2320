"""What producers, consumers and workers agree on: names, queues, limits of the contract.

Constants only, no imports from this project: every other module may depend on this one.
"""

from __future__ import annotations

from typing import Final, Literal

TASK_NAME: Final = "tasks.submit_workflow"
"""Task of one job: ``args=[payload]``, ``kwargs={"metadata": {…}, "unlisted": bool, "batch": str}``."""

BATCH_TASK_NAME: Final = "tasks.submit_workflows"
"""Celery task of many jobs in one message: ``args=[[entry, …]]``; see :mod:`tasks.envelope`."""

DEFAULT_REDIS_URL: Final = "redis://127.0.0.1:6379/0"
DEFAULT_QUEUE: Final = "aigc"
DEFAULT_RESULTS: Final = "aigc:results"
"""Of the default queue: see `results_for`."""

RESULT_FIELD: Final = "result"
"""The stream entry's only field; its value is the JSON that the channel carries too."""

RESULT_SCHEMA: Final = 1

DEFAULT_OUTPUTS: Final = "aigc:outputs"
"""Of the default queue: see `outputs_for`."""

OUTPUT_FIELD: Final = "output"
"""The stream entry's only field; its value is the JSON that the channel carries too."""

OUTPUT_SCHEMA: Final = 1

ENQUEUED_AT_HEADER: Final = "aigc-enqueued-ms"
"""Message header: when the producer enqueued the job, ms since the epoch. Optional."""

ENQUEUED_MS_RANGE: Final = (1_577_836_800_000, 4_102_444_800_000)
"""What may stand in that header: from 2020 to 2100. Seconds or microseconds of our time lie outside."""

REFUSAL_HEADER: Final = "aigc-refusal"
"""Header that only a worker sets, in its own memory: why no job of the message may be sent."""

ETA_MOST_DAYS: Final = 366
"""How far ahead a message's ETA may lie."""

RESULT_HEADER: Final = "aigc-result"
"""Message header of an errback (`link_error`): the fields of the result that its job ended with."""

METADATA_MAX_BYTES: Final = 4096
"""UTF-8 bytes of a job's metadata as compact JSON."""

JOB_ID_MAX_CHARS: Final = 200
NAME_MAX_CHARS: Final = 100
"""Characters of a workflow's name, and of its version."""

TASK_ID_MAX_CHARS: Final = 256
BATCH_MAX_CHARS: Final = 100
"""Characters of a batch's name."""

JOBS_PER_MESSAGE: Final = 50
"""Jobs that ``submit_many`` puts into one message."""

Priority = Literal["high", "normal", "low"]
Status = Literal["submitted", "rejected", "exhausted", "unknown", "cancelled"]
OutputStatus = Literal["succeeded", "failed", "lost"]

PRIORITY_STEPS: Final = (0, 3, 6, 9)
"""Kombu's own; a producer's `priority_steps` may be any of 0 to 9."""

_ALL_STEPS: Final = range(10)
_KOMBU_SEPARATOR: Final = "\x06\x16"


def results_for(queue: str) -> str:
    """The channel and the stream of a queue's results, unless a name of their own is set."""
    return f"{queue}:results"


def outputs_for(queue: str) -> str:
    """The channel and the stream of a queue's outputs, unless a name of their own is set."""
    return f"{queue}:outputs"


_QUEUE_KEYS: Final = """
    workers homes pulses troubles refused refusals descriptions routes sending slots:waiting slots:asked
    waiting waiting:messages sidings unfinished refusing shelf:messages shelf:results decisions malformed
    counters metrics history brake pace rate workflows paused batches:known batches cancels shops clock
    events:problems forwards tasks:open tasks:accepted tasks:unstored tasks:durations tasks:rate
    tasks:deadline tasks:troubles
"""
QUEUE_KEYS: Final = frozenset(_QUEUE_KEYS.split())
"""Names of a queue's own keys, after its name and a colon; worker/store/keys.py says what is in them."""

QUEUE_KEY_FAMILIES: Final = (
    *("job:", "unacked:", "wake:", "siding:", "shelf:", "rate:", "batch:", "dedupe:", "event:", "debounce:"),
    *("forward:state:", "forward:lease:", "forward:retries:", "forward:failed:", "forward:replays:", "task:"),
)
"""The same of those of which there is one for each job, worker and so on: how their names begin."""


def is_own_key(queue: str, name: str) -> bool:
    """Whether a key is the queue's own: one beside its lists, its results and its outputs."""
    stored = name.removeprefix(f"{queue}:")
    return stored != name and (stored in QUEUE_KEYS or stored.startswith(QUEUE_KEY_FAMILIES))


def queue_for(queue: str, priority: Priority = "normal") -> str:
    """The Celery queue of a priority: ``aigc.high``, ``aigc`` itself, or ``aigc.low``."""
    return queue if priority == "normal" else f"{queue}.{priority}"


def queue_lists(queue: str) -> tuple[str, ...]:
    """The Redis lists to which waiting messages are put back, most urgent first.

    A Celery producer that sets ``priority=3`` … ``9`` on Redis ends in a list of its own beside
    the queue's: those are read too, between normal and low.
    """
    numbered = tuple(_numbered(queue, step) for step in PRIORITY_STEPS if step)
    return (queue_for(queue, "high"), queue, *numbered, queue_for(queue, "low"))


def lists_read_as(queue: str) -> tuple[tuple[str, ...], ...]:
    """For each of `queue_lists` the lists that are read in its turn, itself among them, most urgent first.

    The others are those of producers whose ``priority_steps`` are not kombu's, or that give a numbered
    priority to the urgent queue or the other one. What was taken from such a list is put back to its
    neighbour of `queue_lists`: a message's list is stored as its place there, so those never change.
    """
    normal = queue_lists(queue)[1]
    high, low = queue_for(queue, "high"), queue_for(queue, "low")
    middle = tuple(
        tuple(_numbered(queue, step) for step in range(last - 2, last + 1)) for last in PRIORITY_STEPS[1:]
    )
    return (_with_steps(high), (normal,), *middle, _with_steps(low))


def _with_steps(queue: str) -> tuple[str, ...]:
    return (queue, *(_numbered(queue, step) for step in _ALL_STEPS if step))


def _numbered(queue: str, step: int) -> str:
    return f"{queue}{_KOMBU_SEPARATOR}{step}"
