"""Files kept in S3: by a real client, on a real server, which goes away, refuses and fails in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from moto.core import set_initial_no_auth_action_count
from moto.s3.models import S3Backend

from tests import picture_host as hosts
from tests.kept import as_kept, finished, keeper, picture, reason
from tests.picture_host import Host, hosting
from tests.s3_server import ENVIRON, S3Server, s3_server
from worker.keeping import Kept, object_store
from worker.keeping.object_store import ObjectStore

KEY = "pictures/2026-11-22/job-1.png"


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting() as host:
        yield host


@pytest.fixture(scope="module")
def running_s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(running_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """A server with the bucket `shop`, which is empty; the client finds it in its own variables."""
    for name, value in {**ENVIRON, "AWS_ENDPOINT_URL": running_s3.url}.items():
        monkeypatch.setenv(name, value)
    running_s3.start()  # a test may have stopped it
    running_s3.empty()
    running_s3.add_bucket("shop")
    return running_s3


def link(host: Host, body: bytes, path: str = "/a") -> str:
    host.table[path] = hosts.serves(body)
    return f"{host.url}{path}?Signature=c2VjcmV0"


@pytest.mark.parametrize("size", [6000, 20_000_000], ids=["one-request", "in-parts"])
def test_a_picture_is_kept_as_it_came(size: int, host: Host, s3: S3Server) -> None:
    """Below the prefix, with its type; a large one in parts, of which nothing is left."""
    body = picture(size=size)
    found = keeper("s3://shop/pictures").keep(link(host, body), finished())
    assert found == as_kept(body, f"s3://shop/{KEY}")
    assert s3.objects("shop") == {KEY: body}
    assert s3.content_type("shop", KEY) == "image/png"
    assert s3.uploads("shop") == 0


def test_the_same_task_twice_is_one_object(host: Host, s3: S3Server) -> None:
    """Also with another keeper, as after a crash between storing and saying so."""
    url = link(host, picture(1))
    first, second = (keeper("s3://shop/pictures").keep(url, finished()) for _ in range(2))
    assert first == second == as_kept(picture(1), f"s3://shop/{KEY}")
    assert s3.objects("shop") == {KEY: picture(1)}


def test_two_tasks_with_one_name_both_stay(host: Host, s3: S3Server) -> None:
    """The second has its task id in its name, at every repetition; nothing is replaced in silence."""
    keeping = keeper("s3://shop", AIGC_STORE_NAME="{metadata.sku}.{ext}")
    for _ in range(2):
        for mark in range(2):
            url = link(host, picture(mark), f"/{mark}")
            assert isinstance(keeping.keep(url, finished(f"task-{mark}", sku="A-1")), Kept)
    assert s3.objects("shop") == {"A-1.png": picture(0), "A-1-task-1.png": picture(1)}


def test_who_takes_the_name_in_between_is_not_replaced(
    host: Host, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between asking whether it is free and taking it: the request itself forbids that."""
    keeping = keeper("s3://shop", AIGC_STORE_NAME="{metadata.sku}.{ext}")
    assert isinstance(keeping.keep(link(host, picture(0), "/0"), finished("task-0", sku="A-1")), Kept)
    asks, answers = ObjectStore._info, iter([None])
    monkeypatch.setattr(ObjectStore, "_info", lambda store, name: next(answers, asks(store, name)))
    found = keeping.keep(link(host, picture(1), "/1"), finished("task-1", sku="A-1"))
    assert found == as_kept(picture(1), "s3://shop/A-1-task-1.png")
    assert s3.objects("shop") == {"A-1.png": picture(0), "A-1-task-1.png": picture(1)}


def test_many_at_a_time_are_kept(host: Host, s3: S3Server) -> None:
    """One keeper, and one client within it, serve all threads of a process."""
    keeping, ready = keeper("s3://shop"), threading.Barrier(16)

    def one(mark: int) -> None:
        url = link(host, picture(mark), f"/{mark}")
        ready.wait(60)
        keeping.keep(url, finished(f"task-{mark}", f"job-{mark}"))

    threads = [threading.Thread(target=one, args=(mark,)) for mark in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert s3.objects("shop") == {f"2026-11-22/job-{mark}.png": picture(mark) for mark in range(16)}


def test_a_store_that_is_away_is_not_final_and_heals(host: Host, s3: S3Server) -> None:
    """The same keeper goes on once it is back; nothing half is left."""
    keeping, url = keeper("s3://shop/pictures"), link(host, picture())
    assert isinstance(keeping.keep(url, finished("task-0", "job-0")), Kept)
    s3.stop()
    words = reason(keeping.keep(url, finished()))
    assert words.startswith("the store fails: EndpointConnectionError: Could not connect to the endpoint URL")
    assert "Signature" not in words
    s3.start()
    assert keeping.keep(url, finished()) == as_kept(picture(), f"s3://shop/{KEY}")
    assert len(s3.objects("shop")) == 2


@pytest.mark.parametrize("size", [6000, 20_000_000], ids=["one-request", "in-parts"])
def test_a_store_that_fails_in_between_has_nothing_of_it(
    size: int, host: Host, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an object nor parts, which would cost money; the next time it is kept."""

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("the disk of the server")

    keeping, url = keeper("s3://shop/pictures"), link(host, picture(size=size))
    with monkeypatch.context() as broken:
        for name in ("put_object", "upload_part"):
            broken.setattr(S3Backend, name, fails)
        assert reason(keeping.keep(url, finished())).startswith("the store fails: ")
        assert (s3.objects("shop"), s3.uploads("shop")) == ({}, 0)
    assert isinstance(keeping.keep(url, finished()), Kept)
    assert (s3.objects("shop"), s3.uploads("shop")) == ({KEY: picture(size=size)}, 0)


def test_a_bucket_that_is_not_there_is_told(host: Host, s3: S3Server) -> None:
    """Somebody may still make it."""
    words = reason(keeper("s3://no-such-bucket").keep(link(host, picture()), finished()))
    assert words == "the store fails: FileNotFoundError: The specified bucket does not exist"


def test_refused_keys_are_told(host: Host, s3: S3Server) -> None:
    """In the store's own words, which do not show the key."""

    @set_initial_no_auth_action_count(0)
    def refused() -> str:
        return reason(keeper("s3://shop").keep(link(host, picture()), finished()))

    words = refused()
    assert words == "the store fails: PermissionError: Forbidden"
    assert s3.objects("shop") == {}


def test_missing_keys_are_told(host: Host, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the client, which looks for them in its own variables and files."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    words = reason(keeper("s3://shop").keep(link(host, picture()), finished()))
    assert words == "the store fails: NoCredentialsError: Unable to locate credentials"


def test_a_store_that_hangs_is_given_up(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and never answers."""
    monkeypatch.setattr(object_store, "_S3_TIMEOUTS", {**object_store._S3_TIMEOUTS, "read_timeout": 0.2})
    url = link(host, picture())
    with hosting() as silent:
        silent.table["/"] = hosts.slow(600, hosts.says(500))
        monkeypatch.setattr(hosts.Handler, "do_HEAD", lambda each: each.server.ended.wait(600), raising=False)
        for name, value in {**ENVIRON, "AWS_ENDPOINT_URL": silent.url}.items():
            monkeypatch.setenv(name, value)
        assert "ReadTimeoutError" in reason(keeper("s3://shop").keep(url, finished()))


def test_the_store_can_be_checked(s3: S3Server) -> None:
    """Before the first picture: what would keep it out is told, and nothing is left where nothing does."""
    assert keeper("s3://shop/pictures").check() is None
    assert s3.objects("shop") == {}
    missing = "the store fails: FileNotFoundError: The specified bucket does not exist"
    assert keeper("s3://no-such-bucket").check() == missing
    s3.stop()
    assert "EndpointConnectionError" in str(keeper("s3://shop").check())


def test_what_requests_are_signed_with_is_not_logged(
    host: Host, s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The client's own lines would show it at DEBUG, a role's token too."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token-of-a-role")
    with caplog.at_level("DEBUG"):
        assert isinstance(keeper("s3://shop").keep(link(host, picture()), finished()), Kept)
    assert "token" not in caplog.text
    assert {record.name for record in caplog.records} <= {"asyncio", "werkzeug"}


def test_it_is_stored_only_once_it_is_whole(host: Host, s3: S3Server) -> None:
    """A link that breaks off never reaches the bucket."""

    def cut(handler: hosts.Handler) -> None:
        handler.answer(200, picture(size=20_000_000)[:-1], Content_Length="20000000")

    host.table["/cut"] = cut
    assert "IncompleteRead" in reason(keeper("s3://shop").keep(f"{host.url}/cut", finished()))
    assert (s3.objects("shop"), s3.uploads("shop")) == ({}, 0)
