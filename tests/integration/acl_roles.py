"""A Redis with the ACL users of deploy/redis/users.acl, named by their roles, and commands run as one."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tasks
from tasks.contract import DEFAULT_OUTPUTS, DEFAULT_QUEUE, DEFAULT_RESULTS
from tests.conditions import PATIENCE_S
from tests.integration.stage import Stage, staged
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from worker.store.acl import ROLES
from worker.store.keys import KeyNames

FILE = Path(__file__).parents[2] / "deploy" / "redis" / "users.acl"
KEYS = KeyNames(DEFAULT_QUEUE, DEFAULT_RESULTS, DEFAULT_OUTPUTS)
PASSWORD = "pw"
SETTLE = ("XADD aigc:results * result a", "PUBLISH aigc:results a", "HSET aigc:unacked:w t m", "RPOP aigc")
FORBIDDEN = {
    "producer": (*SETTLE, "XRANGE aigc:results - +", "XREAD STREAMS aigc:results 0", "SUBSCRIBE aigc:results",
                 "LRANGE aigc 0 -1", "DEL aigc", "ZREM aigc:sending a", "HGETALL aigc:shelf:messages",
                 "SADD aigc:paused *", "SCAN 0"),
    "worker": ("DEL aigc:job:a", "XREADGROUP GROUP g c STREAMS aigc:results >", "XDEL aigc:results 0-1",
               "SADD aigc:paused *", "HSET aigc:forwards a b", "XADD shop * a b"),
    "consumer": (*SETTLE, "LPUSH aigc a", "HSET aigc:job:a b c", "EVALSHA 0 0", "SCRIPT LOAD 0",
                 "LRANGE aigc 0 -1", "XDEL aigc:results 0-1", "XTRIM aigc:results MAXLEN 0",
                 "SET aigc:dedupe:a b"),
    "operator": ("EVAL 0 0", "SUBSCRIBE shop"),
    "ui": (*SETTLE, "LPUSH aigc a", "HSET aigc:job:a b c", "SADD aigc:paused *", "DEL aigc:job:a",
           "XACK aigc:results g 0-1", "XGROUP CREATE aigc:results g 0", "SUBSCRIBE shop"),
    "forward": (*SETTLE, "LPUSH aigc a", "HGETALL aigc:job:a", "XDEL aigc:results 0-1", "LRANGE aigc 0 -1",
                "EVALSHA 0 0", "SCRIPT LOAD 0"),
    "events": (*SETTLE, "XRANGE aigc:results - +", "LRANGE aigc 0 -1", "SUBSCRIBE aigc:results"),
}  # fmt: skip
"""Commands of other programs, by the role that is refused them."""


def words_of(role: str) -> list[str]:
    """What the file says of this role's user, after its name."""
    line = next(each for each in FILE.read_text().splitlines() if each.startswith(f"user aigc-{role} "))
    found: list[str] = re.findall(r"\([^)]*\)|\S+", line)
    return found[2:]


@contextmanager
def redis_with_roles() -> Iterator[RedisServer]:
    with RedisServer() as made:
        client: Any = made.client()
        for role in ROLES:
            client.execute_command("ACL", "SETUSER", role, *words_of(role), "on", f">{PASSWORD}")
        yield made


@contextmanager
def staged_anew(server: RedisServer) -> Iterator[Stage]:
    """The server without data, and without what its users were refused."""
    with staged(server) as made:
        made.redis.flushdb()
        made.redis.acl_log_reset()
        yield made
    tasks.configure()


def url(server: RedisServer, role: str) -> str:
    return f"redis://{role}:{PASSWORD}@127.0.0.1:{server.port}/0"


def denied(stage: Stage, role: str) -> list[tuple[str, str]]:
    """What this user was refused since the test began: why, and the command or the key. Without the look at
    Redis's configuration, which nobody may have: it shows passwords, too."""
    log = [each for each in stage.redis.acl_log() if each["username"] == role]
    return [(each["reason"], each["object"]) for each in log if each["object"] != "config|get"]


def aigc(stage: Stage, role: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [quick_aigc(), *arguments],
        env=stage.env(REDIS_URL=url(stage.server, role)),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
