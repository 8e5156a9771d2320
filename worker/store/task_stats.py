"""How the tasks stand that are followed, for `aigc status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.store.keys import KeyNames
from worker.store.redis_health import Question
from worker.store.worker_stats import Worker, who


def questions(keys: KeyNames) -> dict[Any, Question]:
    """What has to be asked for, by the key that it is about."""
    return {
        keys.open_tasks: ("zcard", keys.open_tasks),
        keys.unstored_tasks: ("zcard", keys.unstored_tasks),
        keys.tasks_accepted: ("zrange", keys.tasks_accepted, 0, 0, False, True),
        keys.task_troubles: ("hgetall", keys.task_troubles),
        keys.task_deadline: ("get", keys.task_deadline),
    }


def shown(
    keys: KeyNames, found: Mapping[Any, Any], counters: Mapping[str, int], now_ms: int
) -> dict[str, Any]:
    """Open tasks and what became of the others, as JSON values.

    ``paused``: why some worker does not follow, or null. ``workers_follow``: whether any worker has, within
    the last hour.
    """
    oldest = found[keys.tasks_accepted]
    troubles = _troubles(keys, found)
    return {
        "open": found[keys.open_tasks],
        "oldest_s": max(0.0, now_ms - oldest[0][1]) / 1000 if oldest else None,
        "succeeded": counters.get("tasks_succeeded", 0),
        "failed": counters.get("tasks_failed", 0),
        "lost": counters.get("tasks_lost", 0),
        "unstored": found[keys.unstored_tasks],
        "paused": next(iter(troubles.values()), None),
        "workers_follow": found[keys.task_deadline] is not None,
    }


def warnings(keys: KeyNames, found: Mapping[Any, Any], workers: list[Worker]) -> list[str]:
    """Workers that do not follow, with the remedy; and tasks that nobody follows."""
    troubles = _troubles(keys, found)
    lines = [
        f"{who(worker)} does not follow tasks: {troubles[worker['name']]}; no task is harmed; check"
        " AIGC_QUERY_SIGNATURE (aigc doctor --task TASK_ID)"
        for worker in workers
        if worker["name"] in troubles
    ]
    if found[keys.open_tasks] and found[keys.task_deadline] is None:
        lines.append(
            f"nobody follows the {found[keys.open_tasks]} open task(s): start a worker with AIGC_FOLLOW=on"
        )
    return lines


def _troubles(keys: KeyNames, found: Mapping[Any, Any]) -> dict[str, str]:
    """Of living workers only: the others take theirs with them."""
    living = {name for name, _ in found[keys.workers]}
    return {
        owner.decode(): words.decode("utf-8", "replace")
        for owner, words in found[keys.task_troubles].items()
        if owner in living
    }
