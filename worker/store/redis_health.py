"""What of a Redis endangers jobs or money, each with its remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import redis

_FULL: Final = 0.8

Question = tuple[Any, ...]
"""The name of a method of redis-py's, and its arguments."""

ABOUT_REDIS: Final[dict[Any, Question]] = {
    "server": ("info", "server"),
    "replication": ("info", "replication"),
    "memory": ("info", "memory"),
    "persistence": ("info", "persistence"),
    "save": ("config_get", "save"),
    "replicas": ("config_get", "min-replicas-to-write"),
}
"""What `dangers` has to know."""


def warnings(client: Any) -> list[str]:
    """What of this Redis endangers jobs or money, each with its remedy; empty where all is well.

    Raises:
        redis.RedisError: Redis is away.
    """
    return dangers(ask(client, ABOUT_REDIS))


def ask(client: Any, questions: Mapping[Any, Question]) -> dict[Any, Any]:
    """The answers, in one round trip; None to what a managed Redis hides of its configuration."""
    with client.pipeline(transaction=False) as pipe:
        for method, *arguments in questions.values():
            getattr(pipe, method)(*arguments)
        answers = dict(zip(questions, pipe.execute(raise_on_error=False), strict=True))
    for name, answer in answers.items():
        if isinstance(answer, Exception):
            if ABOUT_REDIS.get(name, ("",))[0] != "config_get" or not isinstance(answer, redis.ResponseError):
                raise answer
            answers[name] = None
    return answers


def dangers(answers: Mapping[Any, Any]) -> list[str]:
    """The same, from the answers to `ABOUT_REDIS`."""
    found = list(filter(None, (replica(answers["replication"]), _no_replicas(answers))))
    about = answers["memory"] | answers["persistence"]
    policy = _text(about.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        found.append(
            f"maxmemory-policy is {policy}: Redis may evict jobs and the journal that keeps them from being"
            " paid twice; CONFIG SET maxmemory-policy noeviction, and the same in its configuration file"
        )
    if not about.get("aof_enabled") and not _saves(answers["save"]):
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


def replica(replication: Mapping[str, Any]) -> str | None:
    """A warning where this is a replica, from the INFO of that section."""
    if replication.get("role") == "master":
        return None
    primary = f"{replication.get('master_host', '?')}:{replication.get('master_port', '?')}"
    return f"AIGC_REDIS_URL names a replica of {primary}: workers and producers need the primary"


def _no_replicas(answers: Mapping[Any, Any]) -> str | None:
    # Without the right to ask, one: INFO has how many there are only where some are wanted.
    wanted = int((answers["replicas"] or {"min-replicas-to-write": 1}).get("min-replicas-to-write", 0))
    there = answers["replication"].get("min_slaves_good_slaves")
    if not wanted or there is None or int(there) >= wanted:
        return None
    return (
        f"Redis refuses all writes (NOREPLICAS): {there} of the {wanted} replicas that it wants are there;"
        " bring them back, or CONFIG SET min-replicas-to-write 0"
    )


def _saves(configured: dict[str, str] | None) -> bool:
    """Whether Redis takes snapshots, or does not let us know."""
    return configured is None or any(configured.values())


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
