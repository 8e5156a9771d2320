"""How a queue stands: jobs by state, money, breaker, adaptive rate, workers, what is wrong with its Redis.

Read without a lock, so numbers of one moment may be some milliseconds apart; in two round trips, so that
a Redis far away is as good as one nearby.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from worker.store import task_stats, worker_stats
from worker.store.audit import EVERYTHING
from worker.store.keys import DEAD_LETTER_STATES, KeyNames
from worker.store.oldest_job import SAMPLE, age_s, message_of
from worker.store.record import FIELDS
from worker.store.redis_health import ABOUT_REDIS, Question, ask, dangers
from worker.store.scripts import Scripts
from worker.store.workflows import misspelt, of_pauses

_DOUBLES_MOST_S: Final = 20


def stats(scripts: Scripts, keys: KeyNames) -> dict[str, Any]:
    """What the queue's own keys say of it, as JSON values. Times are seconds, ages counted from now.

    Raises:
        redis.RedisError: Redis is away.
    """
    client = scripts.client
    first = ask(client, _questions(keys))
    second = ask(client, _more_questions(keys, first))
    now_ms = first["time"][0] * 1000 + first["time"][1] // 1000
    holds = {name: held for (what, name), held in second.items() if what == "holds"}
    workers = worker_stats.shown(keys, first, holds, now_ms)
    queued = [_list(name, first, second) for name in (*keys.lists, *keys.further_lists)]
    dead_letters = {state: first[keys.dead_letters(state)] for state in DEAD_LETTER_STATES}
    # A later version may keep in there what is no whole number.
    counters = {name.decode(): int(value) for name, value in first[keys.counters].items() if value.isdigit()}
    backlogs = {workflow: second["length", workflow] for workflow in _names(first[keys.backlogs])}
    return {
        "queue": keys.queue,
        "jobs": {
            "queued": {line["list"]: _without_oldest(line) for line in queued if line["messages"]},
            "in_hand_messages": sum(worker["holds_messages"] for worker in workers),
            "sending": first[keys.sending],
            "waiting": first["waiting"],
            "sidings": backlogs,
            **dead_letters,
            "malformed_messages": first[keys.malformed],
        },
        "oldest_job_s": _oldest_s(queued, second, now_ms),
        "money": {
            "posts": counters.get("posts", 0),
            "submitted": counters.get("submitted", 0),
            "possible_duplicates": counters.get("possible_duplicates", 0),
            "paid_twice": counters.get("paid_twice", 0),
            "held": dead_letters["unknown"],
        },
        "repeats": {
            "run_again": counters.get("run_again", 0),
            "republished": counters.get("republished", 0),
            "ignored": counters.get("repeats_ignored", 0),
        },
        "brake": _breaker(first[keys.breaker], now_ms),
        "pace": _adaptive_rate(first[keys.adaptive_rate], now_ms),
        "following": task_stats.shown(keys, first, counters, now_ms),
        "paused": sorted(_names(first[keys.paused])),
        "workers": [worker for worker in workers if worker["alive"]],
        "dead_workers": [worker for worker in workers if not worker["alive"]],
        "warnings": _warnings(keys, first, workers),
    }


def _warnings(keys: KeyNames, first: Mapping[Any, Any], workers: list[worker_stats.Worker]) -> list[str]:
    found = [*worker_stats.warnings(workers), *task_stats.warnings(keys, first, workers)]
    return [*found, *dangers(first), *_pauses_of_nothing(keys, first)]


def _pauses_of_nothing(keys: KeyNames, first: Mapping[Any, Any]) -> list[str]:
    paused = set(_names(first[keys.paused])) - {EVERYTHING}
    return of_pauses(misspelt(paused, _names(first[keys.workflows]) + _names(first[keys.backlogs])))


def _questions(keys: KeyNames) -> dict[Any, Question]:
    """What can be asked for without knowing anything; most by the key that it is about."""
    hashes = (keys.counters, keys.breaker, keys.adaptive_rate, *worker_stats.hashes(keys))
    lists = (*keys.lists, *keys.further_lists)
    return {
        "time": ("time",),
        **ABOUT_REDIS,
        **{("length", name): ("llen", name) for name in lists},
        **{key: ("hgetall", key) for key in hashes},
        **{key: ("smembers", key) for key in (keys.refused, keys.paused, keys.backlogs, keys.workflows)},
        **{key: ("zcard", key) for key in (keys.sending, *map(keys.dead_letters, DEAD_LETTER_STATES))},
        **task_stats.questions(keys),
        keys.malformed: ("llen", keys.malformed),
        keys.workers: ("zrange", keys.workers, 0, -1, False, True),
        "waiting": ("zcard", keys.delayed),
        "next": ("zrange", keys.delayed, 0, SAMPLE - 1),
    }


def _more_questions(keys: KeyNames, first: Mapping[Any, Any]) -> dict[Any, Question]:
    """What is asked for by name: of each list that holds something, worker, backlog, job that is due next."""
    lists = [name for name in (*keys.lists, *keys.further_lists) if first["length", name]]
    workers = [name.decode() for name, _ in first[keys.workers]]
    backlogs = {workflow: keys.backlog(workflow) for workflow in _names(first[keys.backlogs])}
    return {
        **{("first", name): ("lrange", name, 0, SAMPLE - 1) for name in lists},
        **{("last", name): ("lrange", name, -SAMPLE, -1) for name in lists},
        **{("holds", name): ("hlen", keys.unacked(name)) for name in workers},
        **{("length", workflow): ("llen", backlog) for workflow, backlog in backlogs.items()},
        **{("oldest", workflow): ("lindex", backlog, -1) for workflow, backlog in backlogs.items()},
        **{
            ("enqueued", job): ("hget", keys.job(job), FIELDS["enqueued_ms"].stored)
            for job in _names(first["next"])
        },
    }


def _list(name: str, first: Mapping[Any, Any], second: Mapping[Any, Any]) -> dict[str, Any]:
    """Messages of a list and about how many jobs they are, by those at its ends."""
    length, sample = first["length", name], second.get(("first", name), [])
    between = min(SAMPLE, max(0, length - SAMPLE))  # of a short list both ends have some in common
    sample = sample + (second["last", name][-between:] if between else [])
    jobs = [message.jobs if message else 1 for message in map(message_of, sample)]
    about = round(length * sum(jobs) / len(jobs)) if jobs else 0
    oldest = message_of(sample[-1]) if sample else None
    return {"list": _plain(name), "messages": length, "jobs_about": about, "oldest": oldest}


def _without_oldest(line: dict[str, Any]) -> dict[str, int]:
    return {"messages": line["messages"], "jobs_about": line["jobs_about"]}


def _oldest_s(queued: list[dict[str, Any]], second: Mapping[Any, Any], now_ms: int) -> float | None:
    """Age of the oldest of the jobs that go on next: of each list, each backlog and the delayed set."""
    kept = [answer or b"" for (what, _), answer in second.items() if what == "oldest"]
    stamps = [answer for (what, _), answer in second.items() if what == "enqueued"]
    messages = [*(line["oldest"] for line in queued), *map(message_of, kept)]
    return age_s(messages, stamps, now_ms)


def _breaker(breaker: dict[bytes, bytes], now_ms: int) -> dict[str, Any]:
    if breaker.get(b"open") != b"1":
        # An entry is a job, and where nothing was sent the time of the attempt beside it.
        entries = breaker.get(b"jobs", b"").splitlines()
        return {"open": False, "failed_in_a_row": len(list(filter(None, entries)))}
    return {
        "open": True,
        "cause": breaker.get(b"cause", b"").decode("utf-8", "replace") or None,
        "since_s": _ago_s(breaker[b"since"], now_ms),
        "next_probe_s": max(0.0, float(breaker[b"next"]) - now_ms) / 1000,
        "probing": breaker[b"probe"].decode() if b"probe" in breaker else None,
    }


def _adaptive_rate(adaptive_rate: dict[bytes, bytes], now_ms: int) -> dict[str, Any] | None:
    """What the vendor's answers taught all workers about its limits; None where nothing slows them."""
    if b"rate" not in adaptive_rate:
        return None
    doubles, grows = adaptive_rate.get(b"doubles") == b"1", float(adaptive_rate.get(b"grows", 0))
    return {
        "posts_per_s": round(current_rate(adaptive_rate, now_ms), 1),
        "grows": "doubles each second" if doubles else f"{grows:.1f} a second",
        "nothing_for_s": max(0.0, float(adaptive_rate.get(b"until", 0)) - now_ms) / 1000,
    }


def current_rate(adaptive_rate: Mapping[bytes, bytes], now_ms: float) -> float:
    """Posts a second by now; the twin of the function of that name in lua/_adaptive_rate.lua."""
    seconds = 0.0 if b"held" in adaptive_rate else _ago_s(adaptive_rate.get(b"since", 0), now_ms)
    rate = float(adaptive_rate[b"rate"])
    if adaptive_rate.get(b"doubles") == b"1":
        return float(rate * 2 ** min(seconds, _DOUBLES_MOST_S))
    return rate + float(adaptive_rate.get(b"grows", 0)) * seconds


def _ago_s(then_ms: Any, now_ms: float) -> float:
    """Seconds since then; none where a clock was set back meanwhile."""
    return max(0.0, now_ms - float(then_ms)) / 1000


def _names(found: Any) -> list[str]:
    return [name.decode() for name in found]


def _plain(name: str) -> str:
    """A list's name without kombu's control characters before a numbered priority."""
    return name.replace("\x06\x16", " priority ")
