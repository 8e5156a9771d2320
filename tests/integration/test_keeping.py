"""From a link to a file in a folder: real hosts that behave and misbehave, a real disk, full as well."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests import picture_host as hosts
from tests.conditions import until
from tests.kept import KEYS, as_kept, final_reason, finished, keeper, picture, reason
from tests.picture_host import Answering, Host, hosting, jpg
from tests.quick_python import quick_aigc
from worker.config.settings import load
from worker.from_settings import keeper_of
from worker.keeping import Kept
from worker.keeping.folder_store import INCOMING

ROOT = Path(__file__).parents[2]
SECRET = "OSSAccessKeyId=LTAI&Expires=1763&Signature=c2VjcmV0"


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting() as host:
        yield host


def link(host: Host, answering: Answering, path: str = "/a") -> str:
    host.table[path] = answering
    return f"{host.url}{path}?{SECRET}"


def stored(folder: Path) -> dict[str, bytes]:
    """All files below the folder, those under way as well."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_picture_is_kept_as_it_came(host: Host, tmp_path: Path) -> None:
    """By day and job, with the digest of what was fetched and the type by its first bytes."""
    body = picture(1, size=3_000_000)
    url = link(host, hosts.says(200, body, Content_Type="text/html"))
    found = keeper(tmp_path.as_uri()).keep(url, finished())
    assert found == as_kept(body, f"{tmp_path}/2026-11-22/job-1.png")
    assert stored(tmp_path) == {"2026-11-22/job-1.png": body}
    ((path, headers),) = host.asked
    assert path == f"/a?{SECRET}"
    assert not [name for name in headers if "auth" in name.lower() or "acs" in name.lower()]


def test_a_clip_has_its_own_ending(host: Host, tmp_path: Path) -> None:
    """By its first bytes; a task of nobody's job is named after itself."""
    body = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2" + bytes(5000)
    found = keeper(tmp_path.as_uri()).keep(link(host, hosts.chunked(body)), finished(job_id=None))
    assert found == as_kept(body, f"{tmp_path}/2026-11-22/task-1.mp4", "video/mp4")


def test_the_same_task_twice_is_one_file(host: Host, tmp_path: Path) -> None:
    """Also with another keeper, as after a crash between storing and saying so."""
    url = link(host, hosts.serves(picture(1)))
    first, second = (keeper(tmp_path.as_uri()).keep(url, finished()) for _ in range(2))
    assert first == second
    assert stored(tmp_path) == {"2026-11-22/job-1.png": picture(1)}


def test_two_tasks_with_one_name_both_stay(host: Host, tmp_path: Path) -> None:
    """The second has its task id in its name, at every repetition; nothing is replaced in silence."""
    keeping = keeper(tmp_path.as_uri(), AIGC_STORE_NAME="{metadata.sku}.{ext}")
    urls = [link(host, hosts.serves(picture(mark)), f"/{mark}") for mark in range(2)]
    for _ in range(2):
        first = keeping.keep(urls[0], finished("task-0", "job-0", sku="A/1"))
        second = keeping.keep(urls[1], finished("task-1", "job-1", sku="A/1"))
        assert first == as_kept(picture(0), f"{tmp_path}/A_1.png")
        assert second == as_kept(picture(1), f"{tmp_path}/A_1-task-1.png")
    assert stored(tmp_path) == {"A_1.png": picture(0), "A_1-task-1.png": picture(1)}


def test_many_at_a_time_lose_nothing(host: Host, tmp_path: Path) -> None:
    """Forty tasks of one name, and each twice at the same moment: each has a file with its own picture."""
    keepers = [keeper(tmp_path.as_uri(), AIGC_STORE_NAME="{metadata.sku}.{ext}") for _ in range(2)]
    ready = threading.Barrier(80)
    found: dict[int, list[object]] = {mark: [] for mark in range(40)}

    def one(mark: int, keeping: int) -> None:
        url = link(host, hosts.serves(picture(mark)), f"/{mark}")
        ready.wait(60)
        task = finished(f"task-{mark}", f"job-{mark}", sku="A-1")
        found[mark].append(keepers[keeping].keep(url, task))

    threads = [threading.Thread(target=one, args=(mark, each)) for mark in found for each in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mark, ends in found.items():
        for end in ends:
            assert isinstance(end, Kept)
            assert Path(end.file).read_bytes() == picture(mark)
    assert {*stored(tmp_path).values()} == {picture(mark) for mark in found}


def cut(handler: hosts.Handler) -> None:
    handler.answer(200, picture()[:-1], Content_Length=str(len(picture())))


@pytest.mark.parametrize(
    ("answering", "words"),
    [
        (cut, "the link: its host answers nothing that can be read (IncompleteRead)"),
        (hosts.says(200), "the link brings an empty file"),
        (hosts.endless, "the link is answered without a length, so that nobody could tell a part of it"),
        (hosts.says(500), "the link is answered HTTP 500"),
        (hosts.says(503), "the link is answered HTTP 503"),
        (hosts.says(429), "the link is answered HTTP 429"),
        (hosts.drips(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n\x89PNG\r\n\x1a\n"), "in time"),
        (hosts.slow(20, hosts.serves(picture())), "the link: its host does not answer in time"),
    ],
    ids=["cut", "empty", "endless", "500", "503", "429", "drips", "silent"],
)
def test_what_may_go_well_another_time_is_not_final(
    answering: Answering, words: str, host: Host, tmp_path: Path
) -> None:
    """Nothing of it is left, and nothing said of the link's signature."""
    timeout_s = "1" if "in time" in words else "20"
    found = keeper(tmp_path.as_uri(), AIGC_STORE_TIMEOUT_S=timeout_s).keep(link(host, answering), finished())
    assert words in reason(found)
    assert "Signature" not in repr(found)
    assert stored(tmp_path) == {}


GONE = ": it has expired, or does not let us in"
ANOTHERS = ", which is another protocol's"
BRINGS = "what the link brings is"
NOT_PUBLIC = "the link must be at a public address, and its host has none"
NO_MEDIA = "by its first bytes: neither a picture nor a clip"


@pytest.mark.parametrize(
    ("answering", "words"),
    [
        (hosts.says(403), f"the link is answered HTTP 403{GONE}"),
        (hosts.says(404), f"the link is answered HTTP 404{GONE}"),
        (hosts.says(410), f"the link is answered HTTP 410{GONE}"),
        (hosts.says(200, b"<html>gone</html>"), f"{BRINGS} HTML, a page and no picture {NO_MEDIA}"),
        (hosts.says(200, b'{"a": 1}'), f"{BRINGS} JSON, and no picture {NO_MEDIA}"),
        (hosts.says(200, picture(size=10_001)), "the link brings more than 10,000 bytes"),
        (hosts.chunked(picture(size=10_001)), "the link brings more than 10,000 bytes"),
        (hosts.redirects("/a"), "the link leads to more than 3 redirects"),
        (hosts.redirects("ftp://127.0.0.1/a.png"), "the link must be an http:// or https:// URL"),
        (hosts.redirects("//127.0.0.1:6379/"), f"the link must not name port 6379{ANOTHERS}"),
        (hosts.redirects("http://169.254.169.254/"), NOT_PUBLIC),
        (hosts.redirects("http://127.0.0.2/a.png"), NOT_PUBLIC),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_never_will_be_is_final(answering: Answering, words: str, host: Host, tmp_path: Path) -> None:
    """An expired link, something else than a picture, too much of it, an address that is not public."""
    found = keeper(tmp_path.as_uri(), AIGC_STORE_MAX_BYTES="10000").keep(link(host, answering), finished())
    assert final_reason(found) == words
    assert "Signature" not in repr(found)
    assert stored(tmp_path) == {}


@pytest.mark.parametrize(
    "url", ["", "a.png", "/a.png", "http://", "http://[::1", "javascript:x", "http://h\x00/"]
)
def test_what_is_no_link_is_final(url: str, tmp_path: Path) -> None:
    """Whatever stands where a link was expected."""
    assert final_reason(keeper(tmp_path.as_uri()).keep(url, finished())).startswith("the link ")


def test_a_host_that_is_away_is_not_final(tmp_path: Path) -> None:
    """It may come back."""
    found = keeper(tmp_path.as_uri()).keep(f"http://127.0.0.1:2/a.png?{SECRET}", finished())
    assert reason(found) == "the link: its host cannot be reached (Connection refused)"


@pytest.mark.parametrize("where", ["file", "unwritable", "name"])
def test_a_folder_that_cannot_be_written_to_is_told_at_start(where: str, tmp_path: Path) -> None:
    """With the variable's name and the reason, and without a traceback."""
    (tmp_path / "file").write_bytes(b"")
    folder = {"file": tmp_path / "file", "unwritable": Path("/proc/pictures"), "name": tmp_path / ("x" * 300)}
    environ = {**os.environ, **KEYS, "AIGC_STORE_URL": folder[where].as_uri()}
    program = tmp_path / "program.py"
    lines = "from worker.bootstrap import *\nfrom worker.from_settings import keeper_of\n"
    lines += "try: keeper_of(settings_or_exit())\nexcept ValueError as error: sys.exit(f'aigc: {error}')"
    program.write_text(lines)
    done = subprocess.run(
        [Path(quick_aigc()).with_name("python"), program],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    expected = "aigc: AIGC_STORE_URL must be a folder that can be made and written to: "
    assert done.stderr.startswith(expected)
    assert done.stderr.count("\n") == 1


def test_the_store_can_be_checked(tmp_path: Path) -> None:
    """What has happened to it since the start is told."""
    keeping = keeper(tmp_path.as_uri())
    assert keeping.check() is None
    assert stored(tmp_path) == {}
    (tmp_path / INCOMING).rmdir()
    assert keeping.check() == "the store cannot be used (No such file or directory)"


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("pictures", "ok     AIGC_STORE_URL: the store takes files; the test file is gone again"),
        ("file/x", "WRONG  AIGC_STORE_URL must be a folder that can be made and written to: Not a directory"),
    ],
)
def test_doctor_says_whether_the_store_takes_files(folder: str, line: str, tmp_path: Path) -> None:
    """Beside all else that it looks at."""
    (tmp_path / "file").write_bytes(b"")
    environ = {
        **KEYS,
        "AIGC_STORE_URL": (tmp_path / folder).as_uri(),
        "AIGC_REDIS_URL": "redis://127.0.0.1:2",
    }
    command = [quick_aigc(), "doctor"]
    nobody = {"AIGC_ENDPOINT": "http://127.0.0.1:2"}
    done = subprocess.run(
        command, env={**os.environ, **environ, **nobody}, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert line in done.stdout.splitlines()
    # A running worker whose disk is away must not find a folder for files under way in the disk's place.
    assert os.listdir(tmp_path) == ["file"]
    assert ("no worker has used this folder yet" in done.stdout) == line.startswith("ok")


@pytest.mark.parametrize("follow", ["off", "on"])
def test_doctor_says_that_a_store_without_following_keeps_nothing(follow: str, tmp_path: Path) -> None:
    """Whoever sets the one setting and not the other waits for pictures in vain."""
    environ = {**KEYS, "AIGC_STORE_URL": tmp_path.as_uri(), "AIGC_FOLLOW": follow}
    nobody = {"AIGC_REDIS_URL": "redis://127.0.0.1:2", "AIGC_ENDPOINT": "http://127.0.0.1:2"}
    command = [quick_aigc(), "doctor"]
    done = subprocess.run(
        command, env={**os.environ, **environ, **nobody}, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert not list(tmp_path.iterdir())
    said = "WRONG  AIGC_STORE_URL is set, and AIGC_FOLLOW is off" in done.stdout
    assert said == (follow == "off")


KEEPING = """
import sys
from tests.kept import finished, keeper
made = keeper(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    url, task = line.split()
    print(repr(made.keep(url, finished(task, task))), flush=True)
"""
"""Keeps what it reads of, a line each, and says how that ended."""


def keeping_process(folder: Path, *before: str, **options: object) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-c", KEEPING, folder.as_uri()]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    return subprocess.Popen(command, **{**pipes, **options})  # type: ignore[call-overload, no-any-return]


def asked(process: subprocess.Popen[str], url: str, task: str) -> str:
    """What the process says of it."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{url} {task}\n")
    process.stdin.flush()
    return process.stdout.readline()


def small_files_only() -> None:
    """As a quota, or a file system with such a bound, has it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_a_file_for_which_there_is_no_room_is_not_final(host: Host, tmp_path: Path) -> None:
    """A bound of the kernel's for this process: nothing is left, and a smaller one is kept."""
    large, small = (hosts.serves(picture(size=size)) for size in (1_000_000, 50_000))
    with keeping_process(tmp_path, preexec_fn=small_files_only) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        found = asked(process, link(host, large), "task-1")
        assert "reason='the store takes no file as large as this (File too large)', is_final=False" in found
        assert stored(tmp_path) == {}
        assert asked(process, link(host, small), "task-2").startswith("Kept(")
        assert process.stdin is not None
        process.stdin.close()
    assert stored(tmp_path) == {"2026-11-22/task-2.png": picture(size=50_000)}


def in_a_small_disk(folder: Path) -> Sequence[str]:
    """A command that runs another with 2 MB of memory as that folder's disk, seen by it alone."""
    mount = f'mount -t tmpfs -o size=2m aigc-test "{folder}" && exec "$0" "$@"'
    for unshare in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        command = [*unshare, "sh", "-c", mount]
        if shutil.which("unshare") and not subprocess.run([*command, "true"], capture_output=True).returncode:
            return command
    pytest.skip("no mounts here: tests/unit/keeping has /dev/full, the test above another bound")


def test_a_full_disk_is_not_final_and_heals(host: Host, tmp_path: Path) -> None:
    """Nothing of the file is left on it; once there is room the same process keeps it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with keeping_process(folder, *in_a_small_disk(folder)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        seen = Path(f"/proc/{process.pid}/root{folder}")  # its disk, from here
        url = link(host, hosts.serves(picture(size=1_200_000)))
        assert asked(process, url, "task-1").startswith("Kept(")
        found = asked(process, url, "task-2")
        assert "reason='the store is full (No space left on device)', is_final=False" in found
        assert {*stored(seen)} == {"2026-11-22/task-1.png"}
        (seen / "2026-11-22" / "task-1.png").unlink()
        assert asked(process, url, "task-2").startswith("Kept(")
        assert stored(seen) == {"2026-11-22/task-2.png": picture(size=1_200_000)}
        assert process.stdin is not None
        process.stdin.close()


def test_a_kill_leaves_no_half_file(host: Host, tmp_path: Path) -> None:
    """What the dead process had fetched lies out of sight, and goes once another one keeps something."""
    half = threading.Event()

    def slowly(handler: hosts.Handler) -> None:
        handler.answer(200, picture(size=600_000)[:400_000], Content_Length="600000")
        half.set()
        handler.server.ended.wait()

    with keeping_process(tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write(f"{link(host, slowly)} task-1\n")
        process.stdin.flush()
        assert half.wait(60)
        (left,) = until(lambda: list((tmp_path / INCOMING).iterdir()), "the file under way")
        until(lambda: left.stat().st_size, "its first bytes")
        process.kill()
    assert {path.name for path in tmp_path.iterdir()} == {INCOMING}
    then = time.time() - 3600
    os.utime(left, (then, then))
    url = link(host, hosts.serves(jpg()))
    assert isinstance(keeper(tmp_path.as_uri()).keep(url, finished()), Kept)
    assert {*stored(tmp_path)} == {"2026-11-22/job-1.jpg"}


MEMORY = r"""
import re, sys
from tests.kept import finished, keeper
def most():
    return int(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1])
made = keeper(sys.argv[1])
made.keep(sys.argv[2], finished("small", "small"))
before = most()
print(made.keep(sys.argv[3], finished()).bytes, most() - before)
"""


def test_memory_does_not_grow_with_the_file(host: Host, tmp_path: Path) -> None:
    """A clip of 60 MB takes a piece of it at a time."""
    urls = [link(host, hosts.serves(picture(size=size)), f"/{size}") for size in (1_000_000, 60_000_000)]
    command = [sys.executable, "-c", MEMORY, tmp_path.as_uri(), *urls]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    size, kilobytes = map(int, done.stdout.split())
    assert size == 60_000_000
    assert kilobytes < 10_000


def test_without_a_store_there_is_no_keeper() -> None:
    """Links are all that an output has then."""
    assert keeper_of(load(KEYS)) is None


def test_memory_is_a_store_for_tests(host: Host) -> None:
    """Of this process, as fsspec has it."""
    found = keeper("memory://shop").keep(link(host, hosts.serves(picture(7))), finished("task-7", "job-7"))
    assert found == as_kept(picture(7), "memory://shop/2026-11-22/job-7.png")
