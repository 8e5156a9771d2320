"""A store that is a bucket: what it asks of fsspec, and what it makes of its errors."""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
from collections.abc import Callable
from typing import Any

import fsspec
import pytest

from tests.kept import picture
from worker.keeping.incoming import StoreFault
from worker.keeping.object_store import ObjectStore


@pytest.fixture
def store() -> ObjectStore:
    return ObjectStore("memory", f"bucket-{uuid.uuid4().hex}/shop")


def put(store: ObjectStore, name: str, body: bytes) -> bool:
    with store.incoming() as incoming:
        incoming.write(body)
        return store.create(incoming, name)


def test_an_object_is_stored_once(store: ObjectStore) -> None:
    """A second one of that name is not, unless it is to replace the first."""
    assert put(store, "a/1.png", picture(1))
    assert not put(store, "a/1.png", picture(2))
    size, digest = len(picture(1)), hashlib.sha256(picture(1)).hexdigest()
    assert store.holds("a/1.png", size, digest)
    assert not store.holds("a/1.png", size, hashlib.sha256(picture(2)).hexdigest())
    assert not store.holds("a/1.png", size + 1, digest)
    assert not store.holds("a/2.png", size, digest)
    with store.incoming() as incoming:
        incoming.write(picture(3))
        store.replace(incoming, "a/1.png")
    assert store.holds("a/1.png", size, hashlib.sha256(picture(3)).hexdigest())


def test_a_name_below_another_is_no_folder_in_its_way(store: ObjectStore) -> None:
    """Buckets have no folders, whatever fsspec makes of their names."""
    assert put(store, "a/1.png/2.png", picture(1))
    assert store._info("a/1.png") is None


def test_its_location_is_a_url() -> None:
    """Which the vendors' tools and fsspec take."""
    assert ObjectStore("s3", "bucket/shop").location("a/1.png") == "s3://bucket/shop/a/1.png"
    assert ObjectStore("memory", "").location("a/1.png") == "memory://a/1.png"


def test_a_file_under_way_is_removed(store: ObjectStore) -> None:
    """From the temporary folder, in which it lies until it is sent."""
    with store.incoming() as incoming:
        incoming.write(picture())
        assert os.path.dirname(incoming.path) == tempfile.gettempdir()
    assert not os.path.exists(incoming.path)


def test_no_room_for_a_file_under_way_is_told(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the store that is full."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    words = r"^the temporary folder of this machine cannot be used \(No such file or directory\)$"
    with pytest.raises(StoreFault, match=words), store.incoming():
        pass


class Library:
    """A file system of fsspec that fails as it is told, and remembers what it was asked to put."""

    def __init__(self, *ends: Exception | None) -> None:
        self.ends = list(ends)
        self.put: list[dict[str, Any]] = []

    def info(self, path: str) -> None:
        raise FileNotFoundError(path)

    def invalidate_cache(self) -> None:
        pass

    def put_file(self, path: str, name: str, **options: Any) -> None:
        self.put.append(options)
        if (end := self.ends.pop(0)) is not None:
            raise end


Installing = Callable[..., Library]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Installing:
    def install(*ends: Exception | None) -> Library:
        library = Library(*ends)
        monkeypatch.setattr(fsspec, "filesystem", lambda *_, **__: library)
        return library

    return install


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("s3", {"ContentType": "image/png", "chunksize": 2**23, "max_concurrency": 1, "mode": "create"}),
        ("gs", {"content_type": "image/png", "chunksize": 2**23, "mode": "create"}),
        ("oss", {"headers": {"Content-Type": "image/png", "x-oss-forbid-overwrite": "true"}}),
    ],
)
def test_each_library_is_told_in_its_own_words(
    scheme: str, options: dict[str, Any], installed: Installing
) -> None:
    """The type, that nothing is to be replaced, and how much may be in memory."""
    library = installed(None)
    assert put(ObjectStore(scheme, "bucket"), "1.png", picture())
    assert library.put == [options]


class Refused(Exception):
    pass


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        FileExistsError("1.png"),
        caused(OSError(5, "the object exists"), Refused("{'Code': 'FileAlreadyExists'}")),
        caused(OSError(5, "a condition did not hold"), Refused("(PreconditionFailed) PutObject")),
    ],
)
def test_who_comes_second_by_a_moment_does_not_replace(error: Exception, installed: Installing) -> None:
    """The request itself says that it must not, and each store has its own answer to that."""
    library = installed(error)
    assert not put(ObjectStore("s3", "bucket"), "1.png", picture())
    assert len(library.put) == 1


def test_a_store_that_knows_no_conditions_is_asked_without(installed: Installing) -> None:
    """Where something has the name was asked before in any case."""
    unknown = caused(NotImplementedError("header"), Refused("(NotImplemented) PutObject"))
    library = installed(unknown, None)
    assert put(ObjectStore("s3", "bucket"), "1.png", picture())
    assert [options["mode"] for options in library.put] == ["create", "overwrite"]


class Coded(Exception):
    def __init__(self) -> None:
        super().__init__("{'AccessKeyId': 'an-id'}")
        self.code, self.message = "AccessDenied", "no such luck"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError("Forbidden"), "PermissionError: Forbidden"),
        (OSError("http://host/a?X-Amz-Signature=secret\nrest"), "OSError: http://host/a?… rest"),
        (caused(OSError(5, "x"), Coded()), "AccessDenied: no such luck"),
        (RuntimeError("x" * 1000), "RuntimeError: " + "x" * 286),
    ],
)
def test_whatever_a_library_raises_is_told_in_a_line(
    error: Exception, words: str, installed: Installing
) -> None:
    """Bounded, and without what could be a signature."""
    installed(error)
    with pytest.raises(StoreFault) as caught:
        put(ObjectStore("s3", "bucket"), "1.png", picture())
    assert str(caught.value) == f"the store fails: {words}"
