"""What Redis would refuse to a worker: found out for each command and key, and nothing is written."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import pytest
import redis

from tests.conditions import until
from tests.integration.desk import KEYS
from tests.redis_server import RedisServer
from worker.store.keys import TABLE
from worker.store.role_needs import needs_of
from worker.store.scripts import connect
from worker.store.selftest import refusals
from worker.store.selftest_commands import ARGUMENTS

OF_PEOPLE = {"dead_letters_from.lua", "unkept.lua"}
"""Scripts that no worker runs, and that use commands of their own."""
LUA = [
    file.read_text("utf-8")
    for file in resources.files("worker.store").joinpath("lua").iterdir()
    if file.name not in OF_PEOPLE
]
OPTIONS = {"WRONGTYPE", "WITHSCORES", "MAXLEN", "LIMIT", "COUNT", "PX", "RIGHT"}


@pytest.fixture
def server(own_redis_server: RedisServer) -> RedisServer:
    return own_redis_server


class User:
    """A user of Redis whose rights may be changed, and who asks."""

    def __init__(self, server: RedisServer) -> None:
        self._admin: Any = server.client()
        self.allow("reset", "on", ">pw", f"~{KEYS.queue}*", f"&{KEYS.results}", "+@all")
        self._client = connect(server.url.replace("://", "://worker:pw@"))

    def allow(self, *rules: str) -> None:
        self._admin.execute_command("ACL", "SETUSER", "worker", *rules)

    def refusals(self) -> list[str]:
        return refusals(self._client, KEYS)

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def user(redis_server: RedisServer) -> Iterator[User]:
    made = User(redis_server)
    yield made
    made.close()


def test_nothing_is_refused_and_nothing_done_where_all_is_well(server: RedisServer) -> None:
    """No key, no message, no connection left; and the queue stays as it was."""
    client: Any = server.client()
    client.lpush("aigc", "message")
    listener = client.pubsub()
    listener.psubscribe("*")
    until(lambda: listener.get_message(timeout=1), "the subscription")
    for each in (client, connect(server.url)):
        assert refusals(each, KEYS) == []
    assert (client.keys(), client.lrange("aigc", 0, -1)) == ([b"aigc"], [b"message"])
    assert listener.get_message(timeout=0.1) is None
    until(
        lambda: [c["multi"] for c in client.client_list()] == ["-1"] * len(client.client_list()), "no MULTI"
    )


@pytest.mark.parametrize("command", [*sorted(ARGUMENTS), "EVALSHA", "SCRIPT", "TIME"])
def test_a_command_without_a_right_to_it_is_named(user: User, command: str) -> None:
    """One line for it, with what gives the right, however many keys it is for."""
    user.allow(f"-{command}")
    (line,) = user.refusals()
    assert line.startswith((f"{command} ", f"{command}:"))
    assert f"ACL SETUSER worker +{command.lower()}" in line
    user.allow(f"+{command}")
    assert user.refusals() == []


def test_without_transactions_nothing_can_be_found_out(user: User, redis_server: RedisServer) -> None:
    """It says so, and above all does not do without."""
    user.allow("-multi")
    (line,) = user.refusals()
    assert line.startswith("MULTI: ")
    user.allow("+multi", "-discard")
    assert user.refusals() == []
    assert redis_server.client().keys() == []


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (["resetkeys", "~other"], "ACL SETUSER worker ~aigc*"),
        (["resetkeys", "~aigc", "~aigc.*", "~aigc\x06*", "~aigc:[^p]*"], "aigc:pulses: NOPERM"),
        (["resetchannels"], "PUBLISH aigc:results: NOPERM"),
    ],
)  # fmt: skip
def test_a_key_or_channel_without_a_right_to_it_is_named(user: User, rules: list[str], words: str) -> None:
    """By key, with all commands that it is refused to."""
    user.allow(*rules)
    assert any(words in line for line in user.refusals())


def test_the_outputs_are_asked_for_where_tasks_are_followed(user: User, redis_server: RedisServer) -> None:
    """Their channel and their stream, which may be of another name; and not where no task is."""
    follows = replace(KEYS, outputs="shop:outputs")
    client = connect(redis_server.url.replace("://", "://worker:pw@"))
    found = refusals(client, follows)
    assert any("ACL SETUSER worker ~shop:outputs" in line for line in found)
    assert any("ACL SETUSER worker &shop:outputs" in line for line in found)
    user.allow("~shop:outputs", "&shop:outputs")
    assert refusals(client, follows) == []
    redis_server.client().set("shop:outputs", "no stream")
    assert any("the key shop:outputs is a string" in line for line in refusals(client, follows))
    assert user.refusals() == []
    client.close()


STORED = {f":{name}": key.kind for key in TABLE.values() for name in key.samples()}


@pytest.mark.parametrize("name", [*STORED, "", ".high", "\x06\x163", ":results"])
def test_a_key_of_another_type_is_named(redis_server: RedisServer, name: str) -> None:
    """Scripts would fail on it, halfway perhaps."""
    key = f"aigc{name}"
    client: Any = redis_server.client()
    client.pfadd(key, "x") if STORED.get(name) != "string" else client.lpush(key, "x")
    (line,) = refusals(client, KEYS)
    assert line.startswith(f"the key {key} is a ")
    assert line.endswith("rename or delete it")


@pytest.mark.parametrize(
    ("setting", "word", "remedy"),
    [("maxmemory", "OOM", "raise maxmemory"), ("min-replicas-to-write", "NOREPLICAS", "bring its replicas")],
)
def test_a_redis_that_takes_no_writes_is_told_once(
    server: RedisServer, setting: str, word: str, remedy: str
) -> None:
    """Not a line for each of a hundred commands."""
    client: Any = server.client()
    client.config_set(setting, 1)
    (line,) = refusals(client, KEYS)
    assert word in line
    assert remedy in line


def test_a_replica_is_told(server: RedisServer) -> None:
    """A demoted primary answers READONLY to all that a worker does."""
    client: Any = server.client()
    client.replicaof("127.0.0.1", "1")
    (line,) = refusals(client, KEYS)
    assert "READONLY" in line
    assert "REPLICAOF NO ONE" in line


def test_a_redis_that_is_away_is_raised(server: RedisServer) -> None:
    """What is no refusal is no line."""
    client: Any = connect(server.url)
    server.kill()
    with pytest.raises(redis.ConnectionError):
        refusals(client, KEYS)


class _ExecutesAtOnce(socketserver.StreamRequestHandler):
    """Says OK to each command, MULTI too, and remembers its name."""

    asked: ClassVar[list[str]] = []

    def handle(self) -> None:
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(length + 2)[:-2])
            self.asked.append(words[0].decode())
            self.wfile.write(b"+OK\r\n")


@pytest.mark.parametrize("role", ["worker", "operator"])
def test_what_executes_at_once_is_asked_for_nothing_that_deletes(role: str) -> None:
    """A proxy, say, that knows MULTI by its name only: some commands have no form that would fail."""
    _ExecutesAtOnce.asked.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _ExecutesAtOnce) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = connect(f"redis://127.0.0.1:{server.server_address[1]}/0")
        with pytest.raises(redis.ConnectionError, match="executes what is sent in a transaction"):
            refusals(client, KEYS, needs_of(role, KEYS))
        client.close()
        server.shutdown()
    assert set(_ExecutesAtOnce.asked) <= {"TYPE", "EXEC", "WATCH", "MULTI", "TIME"}


def test_a_redis_that_is_busy_is_told(server: RedisServer) -> None:
    """A script without an end, and how to end it."""
    client: Any = server.client()
    client.config_set("busy-reply-threshold", 1)
    endless = threading.Thread(target=_eval_endlessly, args=(server.client(),))
    endless.start()
    try:
        until(lambda: any("BUSY" in line for line in refusals(client, KEYS)), "the script")
    finally:
        client.script_kill()
        endless.join()


def test_a_database_that_may_not_be_chosen_is_raised(user: User, redis_server: RedisServer) -> None:
    """There is no connection to ask over."""
    user.allow("-select")
    with pytest.raises(redis.ConnectionError, match="select"):
        refusals(connect(redis_server.url.replace("://", "://worker:pw@").removesuffix("0") + "1"), KEYS)


def _eval_endlessly(client: Any) -> None:
    with suppress(redis.ResponseError):
        client.eval("while true do end", 0)


def test_all_that_scripts_do_is_asked_for() -> None:
    """A new command in lua/ has to come into the table, and so has what it is done to, where that is seen."""
    text = "\n".join(LUA)
    commands = set(re.findall(r"'([A-Z]{3,})'", text)) - OPTIONS
    assert commands - {"TIME"} <= set(ARGUMENTS)
    seen = re.findall(r"'([A-Z]{3,})', keys\.(\w+)", text)
    used = {key: TABLE[key].commands for _, key in seen if TABLE[key].commands}  # else by no worker
    assert {(command, key) for command, key in seen if key in used and command not in used[key]} == set()


def test_what_the_worker_asks_itself_is_asked_for_too() -> None:
    """Outside of scripts: what of the client's methods the worker's own modules use."""
    store = Path(str(resources.files("worker.store")))
    names = ("arrivals", "jobs", "queue", "recovery", "scripts", "slots", "workers", "workflows")
    sources = [store / f"{name}.py" for name in names]
    methods = {name for path in sources for name in re.findall(r"client\.([a-z]+)\(", path.read_text())}
    assert {name.upper() for name in methods} - {"CLOSE", "TIME"} <= set(ARGUMENTS)
