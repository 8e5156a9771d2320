"""`aigc forward` as a program: its ends, kills, a Redis that goes away, and the commands below it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conditions import PATIENCE_S, until
from tests.integration.desk import Desk
from tests.integration.webhook_endpoint import (
    NAMES,
    SECRET,
    Received,
    ShopEndpoint,
    listening,
    output,
    publish,
    result,
)
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from worker.config.settings import foreign_environ
from worker.services.forward.endpoint import endpoint_of
from worker.store.forward_state import group_of

AIGC = [sys.executable, "-c", "from worker.cli import main; main()", "forward"]


class Process:
    """A running `aigc forward`."""

    def __init__(self, redis_url: str, log: Path, *arguments: str, **environ: str) -> None:
        self.log = log
        own = {"AIGC_REDIS_URL": redis_url, "AIGC_LOG_FORMAT": "json", "AIGC_FORWARD_SECRET": SECRET}
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [*AIGC, *arguments], env={**foreign_environ(), **own, **environ},
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip

    def said(self, words: str) -> bool:
        return words in self.log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


class Shop:
    """Starts forwarders to one endpoint."""

    def __init__(self, server: RedisServer, folder: Path, endpoint: ShopEndpoint) -> None:
        self.server, self.folder, self.endpoint = server, folder, endpoint
        self.made: list[Process] = []

    def forward(self, *more: str, **environ: str) -> Process:
        log = self.folder / f"log{len(self.made)}"
        self.made.append(Process(self.server.url, log, "--to", self.endpoint.url, *more, **environ))
        return self.made[-1]

    def close(self) -> None:
        for each in self.made:
            each.kill()


@pytest.fixture
def shop(redis_server: RedisServer, tmp_path: Path) -> Iterator[Shop]:
    with listening() as endpoint:
        made = Shop(redis_server, tmp_path, endpoint)
        yield made
        made.close()


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    made = Desk(redis_server)
    yield made
    made.close()


def slow(seconds: float) -> ShopEndpoint:
    def answer(_: Received) -> int:
        time.sleep(seconds)
        return 204

    return ShopEndpoint(answer)


def has_taken(endpoint: ShopEndpoint, count: int) -> bool:
    return len(endpoint.taken) > count


def status(desk: Desk) -> dict[str, Any]:
    """The one endpoint, as the command has it, once it is known."""
    (found,) = until(lambda: desk.aigc("forward", "status").documents, "the endpoint to be known")
    return found


def test_kills_lose_nothing_and_change_no_id(shop: Shop, desk: Desk) -> None:
    """After each of five, what was in flight comes again under its id, and nothing else does."""
    shop.endpoint.answer = slow(0.01).answer
    publish(
        shop.server.client(),
        *(result(f"j{number}", f"{word}") for word in ("unknown", "submitted") for number in range(120)),
    )
    for killed in range(1, 6):
        forwarder = shop.forward("--concurrency", "4")
        until(partial(has_taken, shop.endpoint, 35 * killed), "some to be taken")
        forwarder.kill()
    shop.forward()
    until(lambda: status(desk)["pending"] == 0 and status(desk)["backlog"] == 0, "all")
    ids = {each.what: each.id for each in shop.endpoint.taken}
    assert len(ids) == len(set(shop.endpoint.taken_ids())) == 240
    assert len(shop.endpoint.taken) <= 240 + 5 * 4 * 2
    first: dict[str, list[str]] = {}
    for each in shop.endpoint.taken:
        if each.what[1] not in first.setdefault(each.job, []):
            first[each.job].append(each.what[1])
    assert all(found == ["job.unknown", "job.submitted"] for found in first.values())


def test_the_one_that_stands_by_goes_on_after_a_kill(shop: Shop, desk: Desk) -> None:
    """At once, for it sees that the other process is gone; only what was in flight comes again."""
    shop.endpoint.answer = slow(0.01).answer
    publish(shop.server.client(), *(result(f"j{number}") for number in range(120)))
    first = shop.forward("--concurrency", "4")
    until(partial(has_taken, shop.endpoint, 20), "some to be taken")
    second = shop.forward("--concurrency", "4")
    until(lambda: second.said("stands by"), "the other one to stand by")
    first.kill()
    until(lambda: status(desk)["pending"] == 0 and status(desk)["backlog"] == 0, "all")
    assert (
        len({each.what: each.id for each in shop.endpoint.taken})
        == len(set(shop.endpoint.taken_ids()))
        == 120
    )
    assert len(shop.endpoint.taken) <= 120 + 2 * 4
    assert second.stop() == 0


def test_a_redis_that_refuses_writes_is_waited_for(own_redis_server: RedisServer, tmp_path: Path) -> None:
    """Nothing is sent while nothing can be written down; then all is."""
    client = own_redis_server.client()
    with listening() as endpoint:
        shop = Shop(own_redis_server, tmp_path, endpoint)
        try:
            forwarder = shop.forward()
            publish(client, result("a"))
            until(partial(has_taken, endpoint, 0), "the first one")
            client.config_set("min-replicas-to-write", 1)
            until(lambda: forwarder.said("NOREPLICAS"), "the line")
            client.config_set("min-replicas-to-write", 0)
            publish(client, *(result(f"j{number}") for number in range(50)))
            until(partial(has_taken, endpoint, 50), "all")
            assert forwarder.stop() == 0
        finally:
            shop.close()
    assert len(set(endpoint.taken_ids())) == 51


def test_a_redis_that_goes_away_is_waited_for(own_redis_server: RedisServer, tmp_path: Path) -> None:
    """Three kills in the middle: all are delivered, each under one id, and the process lives on."""
    with listening(slow(0.005)) as endpoint:
        shop = Shop(own_redis_server, tmp_path, endpoint)
        try:
            publish(own_redis_server.client(), *(result(f"j{number}") for number in range(160)))
            forwarder = shop.forward()
            for killed in range(1, 4):
                until(partial(has_taken, endpoint, 40 * killed), "some to be taken")
                own_redis_server.kill()
                own_redis_server.start()
            until(lambda: len(set(endpoint.taken_ids())) == 160, "all")
            publish(own_redis_server.client(), result("new"))
            until(lambda: endpoint.taken[-1].job == "new", "what comes later")
            assert forwarder.stop() == 0
        finally:
            shop.close()
    assert len({each.what: each.id for each in endpoint.taken}) == len(set(endpoint.taken_ids())) == 161


def test_all_at_once(own_redis_server: RedisServer, tmp_path: Path) -> None:
    """Kills, restarts of Redis, a group that is deleted, refusals: all is taken, each job's in order."""
    attempts: Counter[str] = Counter()

    def answer(received: Received) -> int:
        attempts[received.id] += 1
        time.sleep(0.003)
        refused = int(received.id[-1], 16) < 3 and attempts[received.id] == 1
        return 500 if refused else 204

    kinds = ("job.unknown", "job.submitted", "task.succeeded")
    with listening(ShopEndpoint(answer)) as endpoint:
        shop = Shop(own_redis_server, tmp_path, endpoint)
        try:
            for number in range(8):
                jobs = [f"j{number}-{more}" for more in range(20)]
                texts = [
                    each for job in jobs for each in (result(job, "unknown"), result(job), output(job, job))
                ]
                publish(own_redis_server.client(), *texts)
                forwarder = shop.forward("--outputs", "--concurrency", "4")
                until(partial(has_taken, endpoint, 50 * number + 15), "some to be taken")
                if number % 3 == 1:
                    own_redis_server.kill()
                    own_redis_server.start()
                if number == 4:
                    group = group_of(endpoint_of(endpoint.url).name)
                    own_redis_server.client().xgroup_destroy(NAMES["results"], group)
                if number % 3 != 1:
                    forwarder.kill()
            shop.forward("--outputs")
            wanted = {
                (f"j{number}-{more}", kind) for number in range(8) for more in range(20) for kind in kinds
            }
            until(lambda: len(set(endpoint.taken_ids())) >= len(wanted), "all to be taken")
            assert {each.what for each in endpoint.taken} == wanted
            assert not any(each.said("Traceback") for each in shop.made)
        finally:
            shop.close()
    ids = {(each.what, each.id) for each in endpoint.taken}
    assert len(ids) == len({what for what, _ in ids}) == len({found for _, found in ids}) == 8 * 20 * 3
    first: dict[str, list[str]] = {}
    for each in endpoint.taken:
        if each.what[1] not in first.setdefault(each.job, []):
            first[each.job].append(each.what[1])
    assert all(found == [*kinds] for found in first.values())


def test_sigterm_finishes_what_is_in_flight(shop: Shop, desk: Desk) -> None:
    """It is taken and written down, nothing more is begun, and the exit is 0."""
    shop.endpoint.answer = slow(4.0).answer
    publish(shop.server.client(), *(result(f"j{number}") for number in range(20)))
    forwarder = shop.forward("--concurrency", "3")
    until(lambda: len(shop.endpoint.requests) == 3, "three to be in flight")
    assert forwarder.stop() == 0
    assert (len(shop.endpoint.requests), len(shop.endpoint.taken)) == (3, 3)
    found = status(desk)
    assert (found["delivered"], found["active"]) == (3, False)
    shop.endpoint.answer = lambda _: 204
    shop.forward()
    until(lambda: status(desk)["pending"] == 0 and status(desk)["delivered"] == 20, "the rest")
    assert Counter(Counter(shop.endpoint.taken_ids()).values()) == {1: 20}


def test_410_ends_it_until_told_otherwise(shop: Shop, desk: Desk) -> None:
    """A restart says so and ends as well; with --again all that waited is sent."""
    client = shop.server.client()
    shop.endpoint.answer = lambda _: 410
    publish(client, *(result(f"j{number}") for number in range(10)))
    standby = shop.forward("--concurrency", "1")
    forwarder = shop.forward("--concurrency", "1")
    assert forwarder.process.wait(PATIENCE_S) == 1
    assert standby.process.wait(PATIENCE_S) == 1
    assert len(shop.endpoint.requests) == 1
    again = shop.forward()
    assert again.process.wait(PATIENCE_S) == 1
    assert again.said("answered HTTP 410")
    assert not again.said("Traceback")
    assert len(shop.endpoint.requests) == 1
    assert status(desk)["gone_s"] is not None
    assert "answered HTTP 410" in desk.aigc("status", "--check", "--workers", "0").err
    shop.endpoint.answer = lambda _: 204
    last = shop.forward("--again")
    until(lambda: status(desk)["delivered"] == 10, "all")
    assert last.stop() == 0
    assert len(set(shop.endpoint.taken_ids())) == 10


def test_what_it_says_and_shows_has_no_secret(shop: Shop, desk: Desk, tmp_path: Path) -> None:
    """Neither the signing secret, out of a file, nor the URL's."""
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    shop.endpoint.url = shop.endpoint.url.replace("//", "//user:passw0rd@") + "?token=t0ken"
    publish(shop.server.client(), result("a"))
    forwarder = shop.forward(
        "--outputs", AIGC_FORWARD_SECRET="", AIGC_FORWARD_SECRET_FILE=str(tmp_path / "secret")
    )
    until(lambda: len(shop.endpoint.taken) == 1, "it")
    (received,) = shop.endpoint.taken
    assert received.document["type"] == "job.submitted"
    assert (received.path, received.headers["authorization"][:6]) == ("/hook?token=t0ken", "Basic ")
    until(lambda: forwarder.said("webhook delivered"), "the line")
    assert forwarder.said("results and outputs are forwarded to http://127.0.0.1:")
    stored = b"".join(
        shop.server.client().dump(key) or b"" for key in shop.server.client().keys("aigc:forward*")
    )
    shown = forwarder.log.read_text() + json.dumps(status(desk)) + desk.aigc("status").out + repr(stored)
    assert not any(secret in shown for secret in ("passw0rd", "t0ken", SECRET.removeprefix("whsec_")))


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "words"),
    [
        ([], {}, 2, "give --to URL"),
        (["--to", "http://shop.example/"], {}, 2, "loopback address only"),
        (["--to", "shop.example"], {}, 2, "must be https://"),
        (["--to", "https://shop.example/", "--name", "A B"], {}, 2, "the name must be"),
        (["--to", "https://shop.example/", "--concurrency", "0"], {}, 2, "--concurrency"),
        (
            ["--to", "https://shop.example/"],
            {"AIGC_FORWARD_SECRET": ""},
            1,
            "AIGC_FORWARD_SECRET must be set",
        ),
        (
            ["--to", "https://shop.example/"],
            {"AIGC_FORWARD_SECRET": "whsec_ÄÖ"},
            1,
            "AIGC_FORWARD_SECRET must be",
        ),
        (["--to", "https://shop.example/"], {"AIGC_QUEUE": "a b"}, 1, "AIGC_QUEUE must be"),
        (["replay"], {}, 2, "give --since TIME or ID, or --failed"),
        (["replay", "--since", "soon"], {}, 2, "neither a time"),
        (["replay", "--since", "2h"], {}, 2, "nothing was forwarded yet"),
        (["replay", "--since", "1h", "--until", "2h"], {}, 2, "--until must not be before --since"),
        (["failed"], {}, 2, "nothing was forwarded yet"),
        (["forget", "--yes"], {}, 2, "nothing was forwarded yet"),
        (["status"], {}, 0, "nothing was forwarded yet"),
    ],
)
def test_bad_usage_and_settings_stop_it(
    desk: Desk, arguments: list[str], environ: dict[str, str], code: int, words: str
) -> None:
    """Exit 2 and 1, with the option's or the variable's name."""
    done = desk.aigc("forward", *arguments, **{"AIGC_FORWARD_SECRET": SECRET, **environ})
    assert (done.code, words in done.err) == (code, True), done


def test_a_replay_is_asked_for_by_time_or_id(shop: Shop, desk: Desk) -> None:
    """Of both streams; the forwarder sends what was published then, under the same ids."""
    client = shop.server.client()
    minute_ms = 60_000
    now_ms = round(1000 * time.time())
    old = publish(client, result("old"), output("old", "t"), from_ms=now_ms - 180 * minute_ms)
    new = publish(client, result("new"), output("new", "u"), from_ms=now_ms - 30 * minute_ms)
    shop.forward("--outputs")
    until(lambda: status(desk)["delivered"] == 4, "all")
    assert desk.aigc("forward", "replay", "--since", "1h").code == 0
    until(lambda: status(desk)["delivered"] == 6, "the new ones")
    assert desk.aigc("forward", "replay", "--since", old[0], "--until", old[1]).code == 0
    until(lambda: status(desk)["delivered"] == 8, "the old ones")
    assert (
        desk.aigc("forward", "replay", "--since", "4h", "--until", "2h", "--to", shop.endpoint.url).code == 0
    )
    until(lambda: status(desk)["delivered"] == 10, "the old ones once more")
    counts = Counter(each.what for each in shop.endpoint.taken)
    assert counts == {
        ("old", "job.submitted"): 3, ("old", "task.succeeded"): 3,
        ("new", "job.submitted"): 2, ("new", "task.succeeded"): 2,
    }  # fmt: skip
    assert len(set(shop.endpoint.taken_ids())) == 4
    assert new


def aigc(shop: Shop, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    own = {"AIGC_REDIS_URL": shop.server.url, "AIGC_FORWARD_SECRET": SECRET}
    return subprocess.run(
        [quick_aigc(), "forward", *arguments], env={**foreign_environ(), **own, **environ},
        capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip


def test_once_sends_what_there_is(shop: Shop, desk: Desk) -> None:
    """And ends: with 1 where the endpoint did not take all, or another process forwards to it."""
    client = shop.server.client()
    publish(client, *(result(f"j{number}") for number in range(250)))
    to = ("--to", shop.endpoint.url, "--once")
    assert aigc(shop, *to).returncode == 0
    assert len(set(shop.endpoint.taken_ids())) == len(shop.endpoint.taken) == 250
    shop.endpoint.answer = lambda received: 500 if received.job == "b" else 200
    publish(client, result("a"), result("b"), result("c"))
    done = aigc(shop, *to)
    assert (done.returncode, "did not take 1 messages" in done.stderr) == (1, True)
    assert {each.job for each in shop.endpoint.taken[250:]} == {"a", "c"}
    shop.endpoint.answer = lambda _: 500
    publish(client, *(result(f"k{number}") for number in range(50)))
    assert aigc(shop, *to).returncode == 1
    shop.endpoint.answer = lambda _: 200
    shop.forward()
    until(lambda: status(desk)["pending"] == 0 and status(desk)["backlog"] == 0, "all")
    done = aigc(shop, *to)
    assert (done.returncode, "by another process" in done.stderr) == (1, True)
    assert Counter(Counter(shop.endpoint.taken_ids()).values()) == {1: 303}


def test_a_replay_is_done_at_once_where_nobody_forwards(shop: Shop, desk: Desk) -> None:
    """Where the secret is at hand; else it is done once somebody does. The endpoint may stand before it."""
    client = shop.server.client()
    minutes_ago_ms = round(1000 * time.time()) - 300_000
    first, _ = publish(client, result("a"), output("a", "t"), from_ms=minutes_ago_ms)
    assert aigc(shop, "--to", shop.endpoint.url, "--outputs", "--once").returncode == 0
    assert aigc(shop, "replay", "--since", first, "--until", first).returncode == 0
    assert [each.what for each in shop.endpoint.taken[2:]] == [("a", "job.submitted")]
    assert aigc(shop, "--to", shop.endpoint.url, "replay", "--since", "1h").returncode == 0
    assert len(shop.endpoint.taken) == 5
    done = aigc(shop, "replay", "--since", "1h", AIGC_FORWARD_SECRET="")
    assert (done.returncode, "once aigc forward runs" in done.stderr, len(shop.endpoint.taken)) == (
        0,
        True,
        5,
    )
    assert status(desk)["replays"] == 2
    forwarder = shop.forward("--outputs")
    until(partial(has_taken, shop.endpoint, 6), "it")
    assert forwarder.stop() == 0
    assert Counter(Counter(shop.endpoint.taken_ids()).values()) == {4: 1, 3: 1}
    assert aigc(shop, "--to", "https://other.example/", "replay", "--since", "1h").returncode == 2


def test_an_endpoint_is_forgotten(shop: Shop, desk: Desk) -> None:
    """Not while it is forwarded to; afterwards Redis has nothing of it, and the streams are as they were."""
    client = shop.server.client()
    publish(client, result("a"))
    forwarder = shop.forward()
    until(lambda: status(desk)["delivered"] == 1, "it")
    assert "stop that first" in desk.aigc("forward", "forget", "--yes").err
    assert desk.aigc("status", "--json").documents[0]["forwards"] == [status(desk)]
    assert forwarder.stop() == 0
    assert "nobody forwards to it" in desk.aigc("status").out
    assert desk.aigc("forward", "forget", "--yes").code == 0
    assert client.keys("aigc:forward*") == []
    assert client.xinfo_groups(NAMES["results"]) == []
    assert client.xlen(NAMES["results"]) == 1
    assert desk.aigc("status", "--json").documents[0]["forwards"] == []


def test_given_up_messages_are_listed_and_sent_again(shop: Shop, desk: Desk) -> None:
    """Those that can be sent: what is no message stays listed."""
    client = shop.server.client()
    publish(client, "no JSON")
    shop.forward()
    until(lambda: status(desk)["given_up"] == 1, "it to be listed")
    (key,) = client.keys("aigc:forward:failed:*")
    (entry,) = publish(client, result("a"))
    until(lambda: status(desk)["delivered"] == 1, "the good one")
    dead = {
        "stream": "results", "entry": entry, "jobId": "a", "attempts": 22, "firstAt": None,
        "failedAt": "2026-11-22T22:31:33.123Z", "error": "HTTP 500", "text": result("a"),
    }  # fmt: skip
    client.xadd(key, {"failed": json.dumps(dead)})
    listed = desk.aigc("forward", "failed").documents
    assert [each["error"] for each in listed] == ["it is no JSON", "HTTP 500"]
    assert desk.aigc("forward", "replay", "--failed").code == 0
    until(lambda: status(desk)["delivered"] == 2, "it")
    until(lambda: status(desk)["given_up"] == 1, "the list to have the other one only")
    assert len(set(shop.endpoint.taken_ids())) == 1
