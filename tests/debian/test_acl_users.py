"""The ACL users of deploy/redis/users.acl in Debian's Redis 7.0, which knows fewer commands."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.conditions import PATIENCE_S, until
from tests.debian.tls_redis_server import CA, FILES, tls_redis
from tests.integration.acl_roles import FILE
from tests.integration.stage import CAT, CommandWorker, Stage, faulty, staged
from tests.integration.ui_service import services
from tests.integration.ui_visitor import Visitor, text_of
from tests.redis_server import RedisServer
from worker.store.acl import ROLES

AIGC = [sys.executable, "-c", "from worker.cli import main; main()"]
OPTIONS = f"ssl_ca_certs={CA}&ssl_certfile={FILES}/client.crt&ssl_keyfile={FILES}/client.key"
PASSWORD = "a-password"


class Users:
    """A server that has loaded the file, with a password for each of its users."""

    def __init__(self, port: int) -> None:
        self.port = port
        admin: Any = redis.Redis.from_url(f"rediss://127.0.0.1:{port}/0?{OPTIONS}")
        self.admin = admin
        for role in ROLES:
            admin.execute_command("ACL", "SETUSER", f"aigc-{role}", "on", f">{PASSWORD}")

    def url(self, role: str) -> str:
        return f"rediss://aigc-{role}:{PASSWORD}@127.0.0.1:{self.port}/0?{OPTIONS}"

    def run(self, stage: Stage, role: str, *arguments: str, stdin: str = "") -> str:
        """What `aigc` prints as this user; it has to succeed."""
        env = stage.env(REDIS_URL=self.url(role))
        done = subprocess.run(
            [*AIGC, *arguments], env=env, input=stdin, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (role, arguments, done.stderr)
        return done.stdout

    def refused(self) -> set[tuple[str, str]]:
        """Who was refused what, but for looks that everybody does without."""
        found = {(each["username"], each["object"]) for each in self.admin.acl_log()}
        return {
            (who, what) for who, what in found if what not in ("config|get", "celery") and "|" not in what
        }


@contextmanager
def loaded(folder: Path) -> Iterator[Users]:
    copy = shutil.copy(FILE, folder / "users.acl")
    with tls_redis("--aclfile", str(copy)) as port:
        yield Users(port)


def test_each_user_does_its_work(redis_server: RedisServer, tmp_path: Path) -> None:
    """The file can be loaded, nobody is refused anything, and who may only look is told so."""
    with loaded(tmp_path) as users, staged(redis_server) as stage:
        CommandWorker(stage, [*AIGC, "worker"], REDIS_URL=users.url("worker"), FOLLOW="on", BRAKE_AFTER=0)
        jobs = "\n".join(json.dumps(each) for each in (CAT, faulty("reset_after_accept")))
        users.run(stage, "producer", "submit", "-", stdin=jobs)
        until(lambda: users.admin.xlen("aigc:results") == 2, "the results")
        until(lambda: users.admin.xlen("aigc:outputs") == 1, "the output")
        ends = [json.loads(line) for line in users.run(stage, "consumer", "results").splitlines()]
        assert users.run(stage, "consumer", "outputs", "--group", "g")
        held = next(each["jobId"] for each in ends if each["status"] == "unknown")
        users.run(stage, "operator", "pause")
        with services(users.url("ui"), tmp_path) as start:
            visitor = Visitor(start())
            assert held in text_of(visitor.get("/"))
            assert users.refused() == set()
            _, told = visitor.decide("discard", held)
            assert "Redis refuses the user that AIGC_REDIS_URL gives lacks a right" in text_of(told)
        users.run(stage, "operator", "failed", "discard", held, "--yes")
