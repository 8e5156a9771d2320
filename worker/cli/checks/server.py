"""The Redis server: what it would lose, refuse or be killed for, from INFO and CONFIG GET. Pure.

What every worker's start and `aigc status` warn of already is in `worker.store.redis_health`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from worker.cli.checks.finding import Finding, ok, warn, wrong

OLDEST: Final = (7, 0)
NEARLY: Final = 0.8

ASKED: Final[Mapping[str, tuple[str, ...]]] = {
    "info": ("info",),
    "appendfsync": ("config_get", "appendfsync"),
    "save": ("config_get", "save"),
    "replicas": ("config_get", "min-replicas-to-write"),
    "maxclients": ("config_get", "maxclients"),
}
"""Methods of redis-py's client, with their arguments; a managed Redis may refuse CONFIG."""

Answers = Mapping[str, Any]
"""To `ASKED`; None to what is refused."""


def of_server(answers: Answers, has_sentinels: bool) -> Iterator[Finding]:
    """All that is known of the server beside `worker.store.redis_health`."""
    info = answers["info"] or {}
    version = str(info.get("redis_version", "0"))
    right = tuple(int(part) if part.isdigit() else 0 for part in version.split(".")[:2]) >= OLDEST
    said = f"Redis {version}; at least {'.'.join(map(str, OLDEST))} is needed"
    yield ok("redis", said) if right else wrong("redis", said, "upgrade it: scripts need it")
    if info.get("cluster_enabled"):
        what = "Redis is a Cluster, in which a script cannot have keys of several slots"
        yield wrong("redis", what, "one Redis, with replicas and Sentinel where it has to fail over")
    yield from _file(info, _setting(answers, "appendfsync"), _setting(answers, "save"))
    yield from _replicas(info, _setting(answers, "replicas", "min-replicas-to-write"), has_sentinels)
    yield from _memory(info)
    yield from _clients(info, _setting(answers, "maxclients"))


def _setting(answers: Answers, asked: str, name: str = "") -> str | None:
    found = (answers.get(asked) or {}).get(name or asked)
    return None if found is None else str(found)


def _file(info: Mapping[str, Any], appendfsync: str | None, save: str | None) -> Iterator[Finding]:
    """What a power cut or a killed server loses."""
    if not info.get("aof_enabled"):
        if save == "":
            return  # that it persists nothing `redis_health` has told
        what = "Redis keeps snapshots at most: a restart loses all since the last one, bought jobs among it"
        yield warn("durability", what, "CONFIG SET appendonly yes, and the same in its configuration file")
    elif appendfsync == "no":
        what = "appendfsync is no: a power cut loses up to half a minute, bought jobs among it"
        yield warn("durability", what, "CONFIG SET appendfsync everysec, or always")
    elif appendfsync == "everysec":
        yield ok("durability", "appendfsync is everysec: a power cut loses a second at most; always: nothing")
    elif appendfsync == "always":
        yield ok("durability", "appendfsync is always: what Redis acknowledged is on its disk")
    if str(info.get("rdb_last_bgsave_status", "ok")) != "ok":
        mend = "see its log, the free space of its disk, and vm.overcommit_memory"
        yield warn("durability", "Redis's last snapshot failed", mend)


def _replicas(info: Mapping[str, Any], wanted: str | None, has_sentinels: bool) -> Iterator[Finding]:
    """What a failover loses."""
    if info.get("role") != "master":
        return  # told as that
    count = int(info.get("connected_slaves", 0))
    if has_sentinels and not count:
        yield wrong("durability", "the primary has no replica: there is nothing to fail over to", "start one")
    if count and wanted == "0":
        what = (
            f"min-replicas-to-write is 0: a primary that is cut off from its {count} replica(s) goes on, and"
            " a failover loses what it acknowledged meanwhile"
        )
        mend = "CONFIG SET min-replicas-to-write 1: docs/how-to/redis-high-availability.md says what it costs"
        yield warn("durability", what, mend)


def _memory(info: Mapping[str, Any]) -> Iterator[Finding]:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    machine = int(info.get("total_system_memory", 0))
    if most and used > NEARLY * most:
        return  # `redis_health` has told
    if not most and machine and used > NEARLY * machine:
        what = f"Redis uses {used / machine:.0%} of its machine's memory and has no maxmemory: it gets killed"
        yield wrong("memory", what, "CONFIG SET maxmemory, and give the machine more or keep less")
    elif most:
        yield ok("memory", f"Redis uses {used / most:.0%} of its maxmemory; from 80% on you are warned")
    else:
        what = "Redis has no maxmemory: where the machine's is used up, the system kills it"
        yield warn("memory", what, "CONFIG SET maxmemory to half of the machine's: rewrites need the rest")


def _clients(info: Mapping[str, Any], maxclients: str | None) -> Iterator[Finding]:
    most, now = int(maxclients or 0), int(info.get("connected_clients", 0))
    if most and now > NEARLY * most:
        what = f"{now} of Redis's {most} connections (maxclients) are taken: it refuses who comes then"
        yield warn("clients", what, "CONFIG SET maxclients, or find who keeps them open: CLIENT LIST")
