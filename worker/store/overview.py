"""How a queue stands: jobs by state, money, brake, pace, workers, and what is wrong with its Redis.

Read without a lock, so numbers of one moment may be some milliseconds apart.
"""

from __future__ import annotations

from typing import Any, Final

import redis

from tasks.contract import ENQUEUED_AT_HEADER
from worker import homes
from worker.core.message import Malformed, Message, parse
from worker.store.keys import Keys
from worker.store.scripts import Scripts
from worker.store.shelf import STATES, Shelf

_SAMPLE: Final = 3
_FULL: Final = 0.8


def overview(scripts: Scripts, keys: Keys) -> dict[str, Any]:
    """Everything that `aigc status` shows, as JSON values. Times are seconds, ages counted from now.

    Raises:
        redis.RedisError: Redis is away.
    """
    client = scripts.client
    second, micros = client.time()
    now_ms = second * 1000 + micros // 1000
    workers = _workers(client, keys, now_ms)
    queued = [_list(client, name) for name in keys.lists]
    shelves = Shelf(scripts, keys).count()
    counters = {name.decode(): int(value) for name, value in client.hgetall(keys.counters).items()}
    sidings = {
        w.decode(): client.llen(_siding(keys, w.decode())) for w in client.smembers(f"{keys.queue}:sidings")
    }
    return {
        "queue": keys.queue,
        "jobs": {
            "queued": {line["list"]: _without_oldest(line) for line in queued if line["messages"]},
            "in_hand_messages": sum(worker["holds_messages"] for worker in workers),
            "sending": client.zcard(keys.sending),
            "waiting": client.zcard(keys.waiting),
            "sidings": sidings,
            **{state: shelves[state] for state in STATES},
            "malformed_messages": client.llen(keys.malformed),
        },
        "oldest_job_s": _oldest_s(client, keys, queued, list(sidings), now_ms),
        "money": {
            "posts": counters.get("posts", 0),
            "submitted": counters.get("submitted", 0),
            "possible_duplicates": counters.get("possible_duplicates", 0),
            "paid_twice": counters.get("paid_twice", 0),
            "held": shelves["unknown"],
        },
        "brake": _brake(client, keys, now_ms),
        "pace": _pace(client, keys, now_ms),
        "paused": sorted(name.decode() for name in client.smembers(keys.paused)),
        "workers": workers,
        "warnings": [*_refusals(workers), *warnings(client)],
    }


def warnings(client: Any) -> list[str]:
    """What of this Redis endangers jobs or money, each with its remedy; empty where all is well.

    Raises:
        redis.RedisError: Redis is away.
    """
    found = []
    about = client.info("memory") | client.info("persistence")
    policy = _text(about.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        found.append(
            f"maxmemory-policy is {policy}: Redis may evict jobs and the journal that keeps them from being"
            " paid twice; CONFIG SET maxmemory-policy noeviction, and the same in its configuration file"
        )
    if not about.get("aof_enabled") and not _saves(client):
        found.append(
            "Redis persists nothing: a restart loses all jobs; CONFIG SET appendonly yes, and the same in its"
            " configuration file"
        )
    used, most = about.get("used_memory", 0), about.get("maxmemory", 0)
    if most and used > _FULL * most:
        found.append(
            f"Redis uses {used / most:.0%} of its maxmemory: at 100% it refuses jobs; raise maxmemory, or"
            " lower AIGC_RESULTS_MAXLEN and AIGC_JOURNAL_TTL_S"
        )
    if _text(about.get("aof_last_write_status", "ok")) != "ok":
        found.append("Redis cannot write its append-only file: see its log, and the free space of its disk")
    return found


def _saves(client: Any) -> bool:
    """Whether Redis takes snapshots, or does not let us know."""
    try:
        saves = client.config_get("save")
    except redis.ResponseError:
        return True  # a managed Redis that hides its configuration
    return any(saves.values())


def _list(client: Any, name: str) -> dict[str, Any]:
    """Messages of a list and about how many jobs they are, by those at its ends."""
    length = client.llen(name)
    if length <= 2 * _SAMPLE:
        sample = client.lrange(name, 0, -1)
    else:
        sample = client.lrange(name, 0, _SAMPLE - 1) + client.lrange(name, -_SAMPLE, -1)
    jobs = [message.jobs if message else 1 for message in map(_read, sample)]
    about = round(length * sum(jobs) / len(jobs)) if jobs else 0
    oldest = _read(sample[-1]) if sample else None
    return {"list": _plain(name), "messages": length, "jobs_about": about, "oldest": oldest}


def _without_oldest(line: dict[str, Any]) -> dict[str, int]:
    return {"messages": line["messages"], "jobs_about": line["jobs_about"]}


def _oldest_s(
    client: Any, keys: Keys, queued: list[dict[str, Any]], sidings: list[str], now_ms: int
) -> float | None:
    """Age of the oldest of the jobs that go on next: of each list, each siding and the waiting set."""
    next_ones = [line["oldest"] for line in queued]
    for workflow in sidings:
        kept = client.lindex(_siding(keys, workflow), -1) or b""
        next_ones.append(_read(kept.partition(b"|")[2]))
    stamps = [message.headers.get(ENQUEUED_AT_HEADER) for message in next_ones if message]
    for job_id in client.zrange(keys.waiting, 0, _SAMPLE - 1):
        enqueued = client.hget(keys.job(job_id.decode()), "e")
        stamps.append(int(enqueued) if enqueued else None)
    known = [stamp for stamp in stamps if isinstance(stamp, int)]
    return max(0, now_ms - min(known)) / 1000 if known else None


def _brake(client: Any, keys: Keys, now_ms: int) -> dict[str, Any]:
    brake = client.hgetall(keys.brake)
    if brake.get(b"open") != b"1":
        return {"open": False, "failed_in_a_row": len(brake.get(b"jobs", b"").split())}
    return {
        "open": True,
        "since_s": (now_ms - float(brake[b"since"])) / 1000,
        "next_probe_s": max(0.0, float(brake[b"next"]) - now_ms) / 1000,
        "probing": brake[b"probe"].decode() if b"probe" in brake else None,
    }


def _pace(client: Any, keys: Keys, now_ms: int) -> dict[str, Any] | None:
    """What the vendor's answers taught all workers about its limits; None where nothing slows them."""
    pace = client.hgetall(keys.pace)
    if b"rate" not in pace:
        return None
    grown_ms = 0.0 if b"held" in pace else now_ms - float(pace[b"since"])
    seconds, rate = grown_ms / 1000, float(pace[b"rate"])
    doubles = pace.get(b"doubles") == b"1"
    grows = float(pace.get(b"grows", 0))
    current = rate * 2 ** min(seconds, 20) if doubles else rate + grows * seconds
    return {
        "posts_per_s": round(current, 1),
        "grows": "doubles each second" if doubles else f"{grows:.1f} a second",
        "nothing_for_s": max(0.0, float(pace.get(b"until", 0)) - now_ms) / 1000,
    }


def _workers(client: Any, keys: Keys, now_ms: int) -> list[dict[str, Any]]:
    places, pulses = client.hgetall(keys.homes), client.hgetall(keys.pulses)
    troubles = client.hgetall(keys.troubles)
    found = []
    for name, beat in client.zrange(keys.workers, 0, -1, withscores=True):
        home = places.get(name, b"").decode()
        pulse = pulses.get(name)
        found.append(
            {
                "name": name.decode(),
                "pid": homes.pid_of(home),
                "beat_s": max(0.0, now_ms - beat) / 1000,
                "pulse_s": max(0.0, now_ms - float(pulse)) / 1000 if pulse else None,
                "trouble": troubles.get(name, b"").decode() or None,
                "holds_messages": client.hlen(keys.unacked(name.decode())),
            }
        )
    return found


def _refusals(workers: list[dict[str, Any]]) -> list[str]:
    """Workers that wait for somebody to mend their configuration."""
    return [
        f"the vendor refuses worker {worker['name']} (pid {worker['pid'] or '?'}): no job is harmed, none is"
        " done; check its keys, its endpoint and its clock; its log has the vendor's answer"
        for worker in workers
        if worker["refused"]
    ]


def _siding(keys: Keys, workflow: str) -> str:
    return f"{keys.queue}:siding:{workflow}"


def _read(raw: bytes) -> Message | None:
    try:
        return parse(raw, "")
    except Malformed:
        return None


def _plain(name: str) -> str:
    """A list's name without kombu's control characters before a numbered priority."""
    return name.replace("\x06\x16", " priority ")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
