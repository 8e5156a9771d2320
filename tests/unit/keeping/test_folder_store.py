"""A store that is a folder: whole files or none, nothing replaced unasked, nothing left behind."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import threading
from pathlib import Path

import pytest

from tests.kept import picture
from worker.keeping.folder_store import INCOMING, FolderStore
from worker.keeping.incoming import Incoming, StoreFault


def put(store: FolderStore, name: str, body: bytes, *, replace: bool = False) -> bool:
    with store.incoming() as incoming:
        incoming.write(body)
        if replace:
            store.replace(incoming, name)
            return True
        return store.create(incoming, name)


def holds(store: FolderStore, name: str, body: bytes) -> bool:
    return store.holds(name, len(body), hashlib.sha256(body).hexdigest())


def files(root: Path) -> dict[str, bytes]:
    """All files below the folder, those under way as well."""
    found = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_a_file_is_stored_once(tmp_path: Path) -> None:
    """A second one of that name is not, unless it is to replace the first."""
    store = FolderStore(str(tmp_path / "new" / "store"))
    assert put(store, "a/b/1.png", picture(1))
    assert not put(store, "a/b/1.png", picture(2))
    assert files(tmp_path / "new" / "store") == {"a/b/1.png": picture(1)}
    assert holds(store, "a/b/1.png", picture(1))
    assert not holds(store, "a/b/1.png", picture(2))
    assert not holds(store, "a/b/1.png", picture(1)[:-1])
    assert not holds(store, "a/b/2.png", picture(1))
    assert put(store, "a/b/1.png", picture(3), replace=True)
    assert files(tmp_path / "new" / "store") == {"a/b/1.png": picture(3)}


def test_of_many_at_a_time_one_gets_the_name(tmp_path: Path) -> None:
    """Between two of them there is no moment at which both find it free."""
    store = FolderStore(str(tmp_path))
    ready = threading.Barrier(8)
    made: list[tuple[int, bool]] = []

    def one(mark: int) -> None:
        with store.incoming() as incoming:
            incoming.write(picture(mark))
            ready.wait(20)
            made.append((mark, store.create(incoming, "day/1.png")))

    threads = [threading.Thread(target=one, args=(mark,)) for mark in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((winner, _),) = [each for each in made if each[1]]
    assert files(tmp_path) == {"day/1.png": picture(winner)}


def test_where_there_are_no_hard_links_files_are_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on some network folders; what has the name stays there too."""

    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    store = FolderStore(str(tmp_path))
    assert put(store, "1.png", picture(1))
    assert not put(store, "1.png", picture(2))
    assert files(tmp_path) == {"1.png": picture(1)}


def test_who_may_read_it_is_the_umasks_affair(tmp_path: Path) -> None:
    """A shop's web server reads what a worker stored."""
    store = FolderStore(str(tmp_path))
    before = os.umask(0o022)
    try:
        put(store, "1.png", picture())
    finally:
        os.umask(before)
    assert (tmp_path / "1.png").stat().st_mode & 0o777 == 0o644


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power failure would leave a name with nothing behind it; the folder's entry follows."""
    steps: list[str] = []
    sync, link = os.fsync, os.link

    def fsync(descriptor: int) -> None:
        steps.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    def linked(*args: str) -> None:
        steps.append("named")
        link(*args)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", linked)
    put(FolderStore(str(tmp_path)), "day/1.png", picture())
    assert steps[0].startswith(str(tmp_path / INCOMING))
    assert steps[1:] == [str(tmp_path), "named", str(tmp_path / "day")]


def test_what_is_not_stored_is_removed(tmp_path: Path) -> None:
    """Whatever ended it."""
    store = FolderStore(str(tmp_path))

    def fails() -> None:
        with store.incoming() as incoming:
            incoming.write(picture())
            assert len(files(tmp_path)) == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert files(tmp_path) == {}


def test_leftovers_of_the_dead_are_removed(tmp_path: Path) -> None:
    """By whoever begins next; those of the living stay, however long they take, and so do young ones."""
    store = FolderStore(str(tmp_path))
    folder = tmp_path / INCOMING
    old = os.stat(folder).st_mtime - 3600
    for name in ("dead.part", "young.part", "else.txt"):
        (folder / name).write_bytes(b"x")
    os.utime(folder / "dead.part", (old, old))
    with store.incoming() as incoming:
        incoming.write(picture())
        incoming.flush()
        os.utime(incoming.path, (old, old))
        put(FolderStore(str(tmp_path)), "1.png", picture())
        left = {path.name for path in folder.iterdir()}
        assert left == {"young.part", "else.txt", Path(incoming.path).name}
        assert store.create(incoming, "2.png")


def test_without_locks_only_very_old_leftovers_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell then whether somebody is still at work on one."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    store = FolderStore(str(tmp_path))
    folder = tmp_path / INCOMING
    for name, age_s in (("hour.part", 3600), ("week.part", 7 * 86_400)):
        (folder / name).write_bytes(b"x")
        then = os.stat(folder).st_mtime - age_s
        os.utime(folder / name, (then, then))
    put(store, "1.png", picture())
    assert {path.name for path in folder.iterdir()} == {"hour.part"}


def test_a_disk_that_is_gone_is_not_written_around(tmp_path: Path) -> None:
    """What was mounted at the folder is away: files would get onto the disk below it."""
    store = FolderStore(str(tmp_path))
    (tmp_path / INCOMING).rmdir()
    with pytest.raises(StoreFault, match="is it mounted"):
        put(store, "1.png", picture())
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    """A file stands where a folder is wanted, or the other way round."""
    store = FolderStore(str(tmp_path))
    (tmp_path / "day").write_bytes(b"x")
    with pytest.raises(StoreFault, match=r"^the store cannot be used \(File exists\)$"):
        put(store, "day/1.png", picture())
    (tmp_path / "1.png").mkdir()
    assert not put(store, "1.png", picture())
    assert not holds(store, "1.png", picture())
    assert not [path for path in files(tmp_path) if path.startswith(INCOMING)]


def test_a_disk_that_is_full_is_told() -> None:
    """The kernel's own error, as /dev/full gives it."""
    file = open("/dev/full", "wb")  # noqa: SIM115 - closed below
    incoming = Incoming(file, "/dev/full", "the store")
    with pytest.raises(StoreFault, match=r"^the store is full \(No space left on device\)$"):
        incoming.write(picture(size=1_000_000))
    incoming.close()
    assert file.closed
