"""What an operator decides, by the command line or the page: the same acts, and the same words for them."""

from __future__ import annotations

from typing import Any, Final, Literal

from tasks.frozen import value
from tasks.result import Result
from worker.store import audit
from worker.store.dead_letters import DeadLetters
from worker.store.keys import KeyNames
from worker.store.workflows import of_pauses, unseen

Verb = Literal["retry", "discard", "accept"]
Ended = Literal["done", "gone", "not_kept", "bought_since"]
"""What became of one decision. gone: the job is not there any more, or not as it was. not_kept: its message
was not. bought_since: another job was queued since, under the same purchase key."""

RISK: Final[dict[Verb, str]] = {
    "retry": "may each be paid for a second time",
    "discard": "may each have been accepted",
    "accept": "may have been accepted by another task id",
}
"""What is said of unknown jobs before it is done."""

_OF_RETRY: Final[dict[int, Ended]] = {1: "done", 0: "gone", -1: "not_kept", -2: "bought_since"}


@value(frozen=True, slots=True)
class OperatorDecision:
    """What is to be done with dead letters; ``task_id`` only to accept one. ``who`` is recorded."""

    verb: Verb
    who: str
    task_id: str | None = None


def decide(dead_letters: DeadLetters, result: Result, decision: OperatorDecision) -> Ended:
    """Do it to the job that became a dead letter by this result.

    Raises:
        redis.RedisError: Redis is away, or refuses; doing it again does no harm.
    """
    if decision.verb == "retry":
        return _OF_RETRY[dead_letters.retry(result, decision.who)]
    if decision.verb == "discard":
        done = dead_letters.discard(result, decision.who)
    else:
        assert decision.task_id is not None
        done = dead_letters.accept(result, decision.task_id, decision.who)
    return "done" if done else "gone"


def pause(client: Any, keys: KeyNames, workflow: str | None, who: str) -> tuple[str, list[str]]:
    """Let all workers pause, for one workflow or all; what is told of it, and what may be wrong with it."""
    audit.pause(client, keys, workflow, who)
    doubts = of_pauses(unseen(client, keys, [workflow] if workflow else []))
    return f"{workflow or 'everything'} is paused", doubts


def resume(client: Any, keys: KeyNames, workflow: str | None, who: str) -> str:
    """End such a pause; what is told of it."""
    was_paused, left = audit.resume(client, keys, workflow, who)
    paused = ["everything" if name == audit.EVERYTHING else name for name in left]
    if was_paused:
        told = f"{workflow or 'everything'} goes on"
    else:
        told = f"{workflow} was not paused" if workflow else "there was no pause of everything"
    return told + (f"; still paused: {', '.join(paused)}" if left else "")
