"""`aigc events` as a shop meets it: HTTP in, jobs in Redis, purchases at the vendor."""

from __future__ import annotations

import hmac
import itertools
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conditions import PATIENCE_S, until
from tests.integration.desk import Desk
from tests.integration.stage import staged
from tests.redis_server import RedisServer
from tests.unit.services.events.signing import DELIVERIES, PRODUCT, SECRET, product, shopify
from worker.config.settings import foreign_environ

AIGC = [sys.executable, "-c", "from worker.cli import main; main()", "events"]
CONFIG = """
[shopify]
secret_files = ["secret"]
shops = ["test-shop.myshopify.com"]
mapping = "shopify"

[woocommerce]
secret_files = ["secret"]
mapping = "woocommerce"

[s3]
secret_files = ["secret"]
mapping = "objects.toml"

[generic]
secret_files = ["secret"]
signature_header = "X-Sign"
product = "body.products"
event_id = "body.event"
mapping = "pim.toml"
"""
PIM = """
[mapping]
product = "product.id"
images = "product.image"
[[job]]
each = "image"
workflow = "IMAGE2VIDEO"
[job.input]
inputText = "{{ product.title }} turns"
inputImage = "{{ image }}"
"""
OBJECTS = """
[mapping]
product = "join(' ', [product.bucket, product.key, product.etag])"
images = "product.url"
[[job]]
each = "image"
workflow = "IMAGE2VIDEO"
[job.input]
inputText = "The camera moves slowly around it."
inputImage = "{{ image }}"
"""


class Shop:
    """A running `aigc events`, and the requests that are sent to it."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"
        (folder / "secret").write_text(f"{SECRET}\n")
        (folder / "EVENTS.toml").write_text(CONFIG)
        (folder / "objects.toml").write_text(OBJECTS)
        (folder / "pim.toml").write_text(PIM)
        environ = foreign_environ() | {"AIGC_REDIS_URL": redis_url, "AIGC_LOG_FORMAT": "json"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*AIGC, "--config", str(folder / "EVENTS.toml"), "--port", "0"],
                env=environ, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+) ", ready)
        assert found, ready + self.log.read_text()
        self.port = int(found[1])

    def post(
        self, body: Any, headers: dict[str, str] | None = None, path: str = "/shopify"
    ) -> requests.Response:
        """As a sender does: what is answered 503, as on a busy machine it may be, is sent again."""
        end = time.monotonic() + PATIENCE_S
        while (answer := self.post_once(body, headers, path)).status_code == 503:
            assert time.monotonic() < end, answer.text
        return answer

    def post_once(
        self, body: Any, headers: dict[str, str] | None = None, path: str = "/shopify"
    ) -> requests.Response:
        url = f"http://127.0.0.1:{self.port}{path}"
        return requests.post(url, data=body, headers=headers or {}, timeout=PATIENCE_S)

    def send(self, body: bytes, number: int | str, **more: str) -> dict[str, Any]:
        """A delivery of Shopify's that is answered with 200."""
        answer = self.post(body, shopify(body, number, **more))
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as made:
        yield made


@pytest.fixture(scope="module")
def running(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = Shop(server.url, tmp_path_factory.mktemp("shop"))
    yield made
    made.close()


@pytest.fixture
def shop(running: Shop, server: RedisServer) -> Shop:
    server.client().flushall()
    return running


@pytest.fixture
def desk(shop: Shop, server: RedisServer) -> Iterator[Desk]:
    made = Desk(server)
    yield made
    made.close()


def test_deliveries_at_once_are_one_job(shop: Shop, desk: Desk) -> None:
    """The same three times in parallel, that of a second subscription, and the echo of our own write-back."""
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda headers: shop.post(PRODUCT, headers), DELIVERIES * 3))
    assert {answer.status_code for answer in answers} == {200}
    queued = [job for answer in answers for job in answer.json()["queued"]]
    assert desk.queued() == queued
    assert len(queued) == 1


def test_a_changed_picture_is_another_job_and_a_draft_is_none(shop: Shop, desk: Desk) -> None:
    """A draft that is saved four times is bought once it is active; and again with another picture."""
    for number in range(4):
        assert shop.send(product(status="draft", title=f"draft {number}"), f"draft-{number}")["queued"] == []
    first = shop.send(product(status="active"), 5)["queued"]
    again = shop.send(product(status="active", title="another title"), 6)
    other = [{"id": 2, "src": "https://cdn.shopify.example/s/files/1/1/files/shirt.jpg?v=2"}]
    changed = shop.send(product(status="active", images=other), 7)["queued"]
    assert (again["queued"], again["known"]) == ([], first)
    assert desk.queued() == [*first, *changed]
    assert len(first) == len(changed) == 1


def test_what_was_generated_and_written_back_is_not_bought(shop: Shop, desk: Desk) -> None:
    """A picture whose alternative text says so."""
    pictures = [{"id": 9, "src": "https://cdn.shopify.example/new.png", "alt": "generated"}]
    assert shop.send(product(images=pictures), 1)["queued"] == []
    assert desk.queued() == []


def test_an_object_is_bought_by_its_notification(shop: Shop, desk: Desk) -> None:
    """The token stands in the path; one that is overwritten is bought again."""
    thing = {"key": "in/red+shirt.jpg", "size": 9, "eTag": "a", "sequencer": "1"}
    record = {"eventName": "ObjectCreated:Put", "awsRegion": "eu-west-1", "s3": {"bucket": {"name": "b"}}}
    for etag in ("a", "a", "b"):
        record["s3"] = {"bucket": {"name": "b"}, "object": {**thing, "eTag": etag, "sequencer": etag}}
        assert shop.post(json.dumps({"Records": [record]}), path=f"/s3/{SECRET}").status_code == 200
    assert len(desk.queued()) == 2
    assert shop.post(b"{}", path="/s3/wrong").status_code == 401
    assert shop.post(b"{}", path="/shopify/token").status_code == 404


def test_an_event_of_many_products_is_taken_and_keeps_nobody_waiting(shop: Shop, desk: Desk) -> None:
    """Thousands in one body, as a nightly feed: all are queued, and others' events are taken meanwhile."""
    feed = [{"id": n, "title": "A", "image": f"https://pim.example/{n}.jpg"} for n in range(20_000, 23_000)]
    body = json.dumps({"event": "feed-1", "products": feed}).encode()
    signed = {"X-Sign": hmac.digest(SECRET.encode(), body, "sha256").hex()}
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(shop.post, body, signed, "/generic")
        others = []
        for number in itertools.takewhile(lambda _: not answer.done(), itertools.count()):
            others.append(shop.post_once(PRODUCT, shopify(PRODUCT, f"meanwhile-{number}")))
    assert answer.result().status_code == 200, answer.result().text
    queued = desk.queued()
    assert len(set(queued)) == len(queued) == len(feed) + 1
    # A machine too busy to answer within a second says so, and is sent the event again.
    assert {each.status_code for each in others} <= {200, 503}
    taken = [each for each in others if each.status_code == 200 and "ignored" not in each.json()]
    assert len(taken) > 1


def test_the_log_says_what_became_of_an_event(shop: Shop, desk: Desk) -> None:
    """Queued, or of a purchase that is known, or seen before: a line each."""
    body = product(id=11)
    for number in ("log-1", "log-2", "log-2"):
        shop.send(body, number)

    def told() -> list[tuple[str, int, int]]:
        lines = map(json.loads, shop.log.read_text().splitlines(keepends=True)[:-1])
        found = [line for line in lines if line["message"] == "product event" and line["product"] == "11"]
        return [(line["verdict"], line["queued"], line["known"]) for line in found]

    shop.send(product(id=12), "log-3")
    until(lambda: len(told()) == 3, "three lines")
    assert told() == [("queued", 1, 0), ("known", 0, 1), ("seen", 0, 0)]


def test_a_product_that_makes_no_job_is_kept_for_a_person(shop: Shop, desk: Desk) -> None:
    """Answered well, for to send it again mends nothing; said in the log, and shown by the command."""
    body = product(images=[{"id": 1, "src": "http://127.0.0.1/shirt.jpg"}])
    numbers = count(1)

    def sent_and_kept() -> list[dict[str, Any]]:
        number = next(numbers)
        answer = shop.send(body, number)
        shop.send(body, number)
        kept = desk.aigc("events", "--problems").documents
        assert len(kept) < 2  # the same event twice is kept once
        return [answer, *kept] if kept else []

    # Not where that takes too long: the sender is answered in any case.
    answer, kept = until(sent_and_kept, "an event that is kept")
    assert (answer["queued"], len(answer["problems"])) == ([], 1)
    assert (kept["shop"], kept["product"], kept["problems"]) == (
        "test-shop.myshopify.com", "1001", answer["problems"],
    )  # fmt: skip
    until(lambda: "a product made less than it should" in shop.log.read_text(), "the line")
    assert SECRET not in shop.log.read_text()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/shopify", 405), ("PUT", "/shopify", 405), ("POST", "/healthz", 405),
     ("POST", "/shopify/", 404), ("POST", "/oss", 404), ("POST", "/", 404), ("GET", "/healthz", 200)],
)  # fmt: skip
def test_other_methods_and_paths(shop: Shop, method: str, path: str, status: int) -> None:
    """A source that is not configured is not there."""
    url = f"http://127.0.0.1:{shop.port}{path}"
    assert requests.request(method, url, timeout=PATIENCE_S).status_code == status


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (PRODUCT, {}, 401), (PRODUCT, {"X-Shopify-Hmac-Sha256": "x"}, 401), (b" " * MEGABYTE, {}, 401),
        (b" " * (MEGABYTE + 1), {}, 413), (b" " * 3 * MEGABYTE, {}, 413),
        (iter([b" " * 100_000] * 11), {}, 413), (b"x", shopify(b"x"), 400),
        (PRODUCT, shopify(PRODUCT, **{"Content-Encoding": "gzip"}), 415),
        (PRODUCT, shopify(PRODUCT, **{"X-Shopify-Shop-Domain": "other.myshopify.com"}), 403),
        (iter([PRODUCT[:9], PRODUCT[9:]]), shopify(PRODUCT, "chunked"), 200),
    ],
)  # fmt: skip
def test_what_is_refused(shop: Shop, body: Any, headers: dict[str, str], status: int) -> None:
    """By size whether or not the length was told, whoever sends it; by its signature; by what it is."""
    assert shop.post(body, headers).status_code == status


def raw(shop: Shop, request: bytes) -> bytes:
    """What is answered to these bytes, until the connection is closed or nothing more comes."""
    with socket.create_connection(("127.0.0.1", shop.port), timeout=PATIENCE_S) as connection:
        connection.sendall(request)
        answer = b""
        while b"}" not in answer and (part := connection.recv(65536)):
            answer += part
    return answer


SIGNED = "".join(f"{name}: {value}\r\n" for name, value in shopify(b"{}", "raw").items()).encode()
START = b"POST /shopify HTTP/1.1\r\nHost: x\r\n" + SIGNED
CHUNK = b"2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        (b"Content-Length: 2\r\n\r\n{}", b"200"),
        (b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK, b"200"),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK, b"400"),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + CHUNK, b"400"),
        (b"Transfer-Encoding : chunked\r\n\r\n" + CHUNK, b"400"),
        (b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNK, b"400"),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", b"400"),
        (b"Content-Length: +2\r\n\r\n{}", b"400"),
        (b"X-Shopify-Hmac-Sha256: AAAA\r\nContent-Length: 2\r\n\r\n{}", b"401"),
        (b"X-Shopify-Shop-Domain: b.example\r\nContent-Length: 2\r\n\r\n{}", b"403"),
        (b"Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n", b"413"),
        (b"X-Long: " + b"x" * 400_000, b"400"),
    ],
)
def test_what_a_proxy_may_read_otherwise_is_refused(shop: Shop, rest: bytes, status: bytes) -> None:
    """Two lengths, two signatures; nothing that is hidden in one request becomes another."""
    try:
        answer = raw(shop, START + rest)
    except ConnectionError:  # it is closed while the rest of the head is sent
        assert len(rest) > 100_000
    else:
        assert answer[9:12] == status
        assert answer.count(b"HTTP/1.1 ") == 1


def test_names_of_headers_have_no_case(shop: Shop) -> None:
    """Nor do they need their X-."""
    signed = START.replace(b"X-Shopify-Hmac", b"sHOPIFY-hMAC") + b"Content-Length: 2\r\n\r\n{}"
    assert raw(shop, signed)[9:12] == b"200"


def test_slow_clients_keep_nobody_waiting(shop: Shop) -> None:
    """A hundred heads without an end, and bodies that do not come."""
    starts = [b"POST /shopify HTTP/1.1\r\nHost: x\r\n", START + b"Content-Length: 99\r\n\r\n{", b""]
    slow = [socket.create_connection(("127.0.0.1", shop.port)) for _ in range(100)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(starts[number % 3])
        assert shop.send(product(), "meanwhile")["queued"]
    finally:
        for connection in slow:
            connection.close()


def test_while_redis_is_away_senders_are_told_to_come_again(
    own_redis_server: RedisServer, tmp_path: Path
) -> None:
    """At once; what they then send is bought once. SIGTERM ends it with 0, the request under way answered."""
    shop = Shop(own_redis_server.url, tmp_path)
    try:
        own_redis_server.kill()
        for _ in range(2):
            away = shop.post_once(PRODUCT, DELIVERIES[0])
            assert (away.status_code, away.headers["Retry-After"]) == (503, "5")
        health = requests.get(f"http://127.0.0.1:{shop.port}/healthz", timeout=PATIENCE_S)
        assert (health.status_code, health.json()["redis"]) == (200, "away")
        own_redis_server.start()
        assert len(shop.post(PRODUCT, DELIVERIES[0]).json()["queued"]) == 1
        again = shop.post(PRODUCT, DELIVERIES[0]).json()
        assert (again["queued"], "taken before" in again["ignored"]) == ([], True)
        with socket.create_connection(("127.0.0.1", shop.port), timeout=PATIENCE_S) as connection:
            connection.sendall(START + b"Content-Length: 2\r\n\r\n{")
            until(lambda: shop.post(b"", path="/none").status_code == 404, "it to have read that")
            shop.process.send_signal(signal.SIGTERM)
            until(lambda: not _listens(shop.port), "no more connections to be taken")
            connection.sendall(b"}")
            assert connection.recv(65536)[9:12] == b"200"
        assert shop.process.wait(PATIENCE_S) == 0
    finally:
        shop.close()


def test_a_service_that_redis_refuses_says_so_at_its_start(
    own_redis_server: RedisServer, tmp_path: Path
) -> None:
    """Not with the first product, which may come a week later: a wrong password is told in words."""
    own_redis_server.client().config_set("requirepass", "s3cret")
    shop = Shop(own_redis_server.url, tmp_path)
    try:
        until(lambda: "Redis wants a password" in shop.log.read_text(), "the log to name the password")
    finally:
        shop.close()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S).close()
    except ConnectionError:
        return False
    return True


def test_three_deliveries_are_one_purchase(redis_server: RedisServer, tmp_path: Path) -> None:
    """At the vendor, by a real worker; the metadata says which product it was."""
    with staged(redis_server) as stage:
        stage.worker()
        shop = Shop(redis_server.url, tmp_path)
        try:
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(lambda headers: shop.post(PRODUCT, headers), DELIVERIES))
            (job,) = [job for answer in answers for job in answer.json()["queued"]]
            result = stage.result(job)
            stage.drain()
            again = shop.send(product(title="another title"), "after the purchase")
        finally:
            shop.close()
        assert (result["status"], result["metadata"]["product"]) == ("submitted", "test-shirt")
        assert (again["known"], stage.vendor.posts) == ([job], 1)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "give --config EVENTS.toml"),
        (["--config", "/nonexistent"], 2, "does not exist"),
        (["--config", "EVENTS.toml", "--port", "70000"], 2, "70000"),
        (["--config", "EVENTS.toml", "--check"], 0, "/shopify: shopify, 1 secret; makes of a product: clip"),
        (["--problems"], 0, "no problems"),
        (["--config", "bad.toml", "--check"], 1, "[shopify]: secret_files: must be a list"),
        (["--config", "bad.toml"], 1, "[shopify]: secret_files: must be a list"),
    ],
)
def test_the_command_says_what_is_wrong(
    shop: Shop, desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    """Bad usage is 2, a configuration that cannot be right is 1, and nothing is served."""
    monkeypatch.chdir(shop.folder)
    (shop.folder / "bad.toml").write_text("[shopify]\n")
    done = desk.aigc("events", *arguments)
    assert (done.code, words in done.out + done.err) == (code, True), done


def test_a_job_belongs_to_the_trace_of_its_delivery(shop: Shop, desk: Desk) -> None:
    """`traceparent` of the request stands in the job's message; what is none is passed over."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for number, given in enumerate((trace, "00-none")):
        body = product(images=[{"id": number, "src": f"https://cdn.shopify.example/{number}.png"}])
        headers = shopify(body, f"trace-{number}") | {"traceparent": given, "tracestate": "shop=eu"}
        assert len(shop.post(body, headers).json()["queued"]) == 1
    found = [json.loads(raw)["headers"] for raw in desk.redis.lrange("aigc", 0, -1)]
    assert [each.get("traceparent") for each in found] == [None, trace]
    assert [each.get("tracestate") for each in found] == [None, "shop=eu"]
