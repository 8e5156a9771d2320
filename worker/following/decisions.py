"""What follows from what the vendor, or the store, says of a task. Pure: values in, a step out."""

from __future__ import annotations

from typing import Any, Final

from tasks.contract import OutputStatus
from tasks.frozen import value
from tasks.json_text import loads
from tasks.output import Output
from tasks.times import utc_iso
from worker.domain.query import (
    SUCCESS,
    Failed,
    Pending,
    QueryOutcome,
    Refused,
    Succeeded,
    TaskUnknown,
    Throttled,
    Unanswered,
)
from worker.keeping import Finished, Kept, NotKept
from worker.preflight.expiry import end_of
from worker.store.task_values import Learned, OpenTask

GROWTH: Final = 0.25
"""A task is asked about again after this share of its age: the older, the more seldom."""

SHORTEST_S: Final = 1.0
LONGEST_S: Final = 300.0
UNHEARD_LONGEST_S: Final = 30.0
"""The longest gap after a query that was throttled or refused, which is the pace's matter; and for a file
that waits for others to be kept."""

KEEP_BASE_S: Final = 2.0
KEEP_FOR_S: Final = 3600.0
"""For how long keeping a file is tried whose link does not say when it ends."""

KEEP_MOST_S: Final = 86_400.0


@value(frozen=True, slots=True)
class AskAgain:
    """The task stays open; ``gap_s`` until it is asked about again."""

    gap_s: float
    learned: Learned


@value(frozen=True, slots=True)
class Keep:
    """There is a file at ``url``, to be kept; ``succeeded_ms`` is since when that is known."""

    url: str
    succeeded_ms: int


@value(frozen=True, slots=True)
class End:
    """The task has ended. ``took_ms``: how long the vendor took, where that is known.

    ``is_unstored``: its file could not be kept, ``reason`` says why.
    """

    output: Output
    finished_ms: int
    took_ms: int | None = None
    is_unstored: bool = False
    reason: str = ""


Step = AskAgain | Keep | End


def decide(outcome: QueryOutcome, task: OpenTask, now_ms: int, jitter: float, *, keeps: bool) -> Step:
    """What follows from an answer about a task.

    Args:
        now_ms: ms since the epoch, by the clock that the task's times are of.
        jitter: factor of gaps, around 1.
        keeps: whether files are kept.
    """
    match outcome:
        case Succeeded(url):
            return _succeeded(url, task, now_ms, keeps)
        case Failed(status):
            return End(_output(task, "failed", status, now_ms), now_ms)
        case Throttled() | Refused():
            # The query did not get through: that is no news of the task, which is not lost by it either.
            return AskAgain(_gap_s(task, now_ms, jitter, UNHEARD_LONGEST_S), Learned())
        case Pending(status):
            return _not_ended(task, now_ms, jitter, status)
        case Unanswered() | TaskUnknown():
            if task.url is not None:
                return _succeeded(task.url, task, now_ms, keeps)
            said = outcome.vendor_status if isinstance(outcome, Unanswered) else None
            return _not_ended(task, now_ms, jitter, said, is_heard=isinstance(outcome, TaskUnknown))


def after_keeping(
    kept: Kept | NotKept, url: str, succeeded_ms: int, task: OpenTask, now_ms: int, jitter: float
) -> AskAgain | End:
    """What follows from a try to keep the file of a task; the arguments are those of `decide`."""
    output = _output(task, "succeeded", SUCCESS, succeeded_ms, url=url, kept=kept)
    took_ms = _took_ms(task, now_ms)
    if isinstance(kept, Kept):
        return End(output, succeeded_ms, took_ms)
    left_s = (give_up_ms(url, succeeded_ms) - now_ms) / 1000
    if kept.is_final or left_s <= 0:
        return End(output, succeeded_ms, took_ms, is_unstored=True, reason=kept.reason)
    gap_s = min(LONGEST_S, KEEP_BASE_S * 2 ** min(task.keep_tries, 10)) * jitter
    learned = Learned(task.asked + 1, SUCCESS, url, succeeded_ms, task.keep_tries + 1)
    return AskAgain(max(SHORTEST_S, min(gap_s, left_s)), learned)


def keep_later(step: Keep, task: OpenTask, now_ms: int, jitter: float) -> AskAgain:
    """What follows where too many files are being kept already: no try, but its link is noted."""
    left_s = (give_up_ms(step.url, step.succeeded_ms) - now_ms) / 1000
    gap_s = max(SHORTEST_S, min(_gap_s(task, now_ms, jitter, UNHEARD_LONGEST_S), left_s / 2))
    return AskAgain(gap_s, Learned(task.asked + 1, SUCCESS, step.url, step.succeeded_ms, task.keep_tries))


def give_up_ms(url: str, succeeded_ms: int) -> float:
    """Until when to try to keep what is at this link: until its end, where it says that; a day at most."""
    ends_s = end_of(url)
    known_ms = succeeded_ms + 1000 * KEEP_FOR_S if ends_s is None else 1000 * ends_s
    return min(known_ms, succeeded_ms + 1000 * KEEP_MOST_S)


def finished_of(task: OpenTask, finished_ms: int) -> Finished:
    """What the name of the task's file is made of."""
    return Finished(
        task_id=task.task_id,
        job_id=task.job_id,
        workflow=task.workflow,
        version=task.version,
        metadata=_metadata(task),
        finished_at=utc_iso(finished_ms / 1000),
    )


def _succeeded(url: str, task: OpenTask, now_ms: int, keeps: bool) -> Step:
    # The first time stays: its day is part of the file's name.
    succeeded_ms = now_ms if task.succeeded_ms is None else task.succeeded_ms
    if keeps:
        return Keep(url, succeeded_ms)
    output = _output(task, "succeeded", SUCCESS, succeeded_ms, url=url)
    return End(output, succeeded_ms, _took_ms(task, now_ms))


def _not_ended(
    task: OpenTask, now_ms: int, jitter: float, status: str | None, *, is_heard: bool = True
) -> Step:
    """What follows where nobody says that it has ended; ``is_heard``: the vendor said something of it."""
    gap_s = _gap_s(task, now_ms, jitter, LONGEST_S)
    if now_ms < task.deadline_ms:
        # At its deadline it is asked about once more.
        gap_s = min(gap_s, (task.deadline_ms - now_ms) / 1000)
    elif is_heard or (task.looked_ms or 0) >= task.deadline_ms:
        return End(_output(task, "lost", status or task.vendor_status, now_ms), now_ms)
    # Else one query that was lost on its way would lose the task; after days without workers, all of them.
    return AskAgain(gap_s, Learned(task.asked + 1, status))


def _gap_s(task: OpenTask, now_ms: int, jitter: float, longest_s: float) -> float:
    age_s = (now_ms - task.accepted_ms) / 1000
    return min(longest_s, max(SHORTEST_S, GROWTH * age_s)) * jitter


def _took_ms(task: OpenTask, now_ms: int) -> int | None:
    """How long the vendor took, about: it ended between the last look at the task and this one."""
    if task.is_adopted or task.succeeded_ms is not None:
        return None
    before_ms = task.accepted_ms if task.looked_ms is None else task.looked_ms
    # A look that came late, for there were many to ask about, says nothing of the time since it was due.
    seen_ms = max(before_ms, min(now_ms, task.due_ms))
    return max(0, (before_ms + seen_ms) // 2 - task.accepted_ms)


def _metadata(task: OpenTask) -> dict[str, Any]:
    try:
        metadata = loads(task.metadata)
    except ValueError:
        return {}  # somebody else wrote it
    return metadata if isinstance(metadata, dict) else {}


def _output(
    task: OpenTask,
    status: OutputStatus,
    vendor_status: str | None,
    finished_ms: int,
    *,
    url: str | None = None,
    kept: Kept | NotKept | None = None,
) -> Output:
    file = kept if isinstance(kept, Kept) else None
    return Output(
        job_id=task.job_id,
        task_id=task.task_id,
        status=status,
        vendor_status=vendor_status,
        url=url,
        file=file.file if file else None,
        sha256=file.sha256 if file else None,
        bytes=file.bytes if file else None,
        content_type=file.content_type if file else None,
        workflow=task.workflow,
        version=task.version,
        finished_at=utc_iso(finished_ms / 1000),
        metadata=_metadata(task),
        traceparent=task.traceparent,
        tracestate=task.tracestate,
    )
