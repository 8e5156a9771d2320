"""The units of deploy/systemd, by systemd's own tools; and what they start, confined as they say.

No systemd is started here: at its boot it would empty this machine's /tmp, among other things.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tasks
from tasks import results
from tests.conditions import PATIENCE_S
from tests.integration.native import ROOT
from tests.integration.stage import KEYS, faulty, staged
from tests.integration.test_systemd_units import answers
from tests.integration.units import FOLDER, PROGRAM, UNITS, NativeUnit
from tests.ports import free_port
from tests.redis_server import RedisServer

WORKER = "aigc-worker@.service"
EXPOSURE_MOST = 1.6
"""Of 10, by `systemd-analyze security`: 0.5 of it is the network, which all of them need."""


@pytest.fixture(autouse=True)
def _settings_of_others_come_back() -> Iterator[None]:
    yield
    tasks.configure()


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@pytest.fixture(params=UNITS)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A unit whose program is on this machine."""
    copy = tmp_path / str(request.param).replace("@", "@1")
    copy.write_text((FOLDER / request.param).read_text().replace(PROGRAM, "/bin/true"))
    return copy


def test_systemd_understands_it(unit: Path) -> None:
    """Every line; it has nothing to say."""
    done = analyze("verify", str(unit))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_line_that_is_not_understood_would_be_told(tmp_path: Path) -> None:
    """The check above is one."""
    slip = tmp_path / "slip.service"
    text = (FOLDER / "aigc-ui.service").read_text().replace(PROGRAM, "/bin/true")
    slip.write_text(text.replace("ProtectSystem=", "ProtectSytem="))
    assert "ProtectSytem" in analyze("verify", str(slip)).stderr


def test_it_is_exposed_little(unit: Path) -> None:
    """By systemd's own measure, from 0 to 10."""
    threshold = f"--threshold={round(10 * EXPOSURE_MOST)}"
    done = analyze("security", "--offline=true", threshold, str(unit))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "forbidden",
    [
        "import os; os.chroot('/')",
        "import socket; socket.socket(socket.AF_NETLINK)",
        "import socket; socket.socket(socket.AF_PACKET)",
    ],
)
def test_what_is_confined_can_do_little(forbidden: str) -> None:
    """What the unit's filters forbid is refused where the next test works, to root as well."""
    command = [sys.executable, "-m", "tests.debian.confined", WORKER, sys.executable, "-c", forbidden]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1, done.stderr
    assert "OSError" in done.stderr or "PermissionError" in done.stderr


def test_a_worker_works_confined(redis_server: RedisServer, tmp_path: Path) -> None:
    """With the system calls, address families and memory that the unit allows, from its start to its end."""
    tasks.configure(redis_url=redis_server.url)
    with staged(redis_server) as stage:
        credentials = {
            "redis-url-worker": redis_server.url,
            "access-key": KEYS.access_key,
            "secret-key": KEYS.secret_key,
        }
        instead = {"/var/tmp": str(tmp_path)}
        environ = {"AIGC_ENDPOINT": stage.vendor.url, "PYTHONPATH": str(ROOT)}
        native = NativeUnit(WORKER, tmp_path, credentials, settings=environ, instead=instead)
        with native.running(sys.executable, "-m", "tests.debian.confined", WORKER) as worker:
            job = tasks.submit(faulty())
            worker.wait(lambda: results.get(job) is not None)
            status = Path(f"/proc/{worker.process.pid}/status").read_text()
            assert "NoNewPrivs:\t1" in status
            assert "Seccomp:\t2" in status
            assert worker.terminate() == 0


def test_ui_works_confined(redis_server: RedisServer, tmp_path: Path) -> None:
    """The same for what takes requests."""
    port, name = free_port(), "aigc-ui.service"
    instead = {"aigc ui": f"aigc ui --port {port}"}
    credentials, environ = {"redis-url-ui": redis_server.url}, {"PYTHONPATH": str(ROOT)}
    native = NativeUnit(name, tmp_path, credentials, settings=environ, instead=instead)
    with native.running(sys.executable, "-m", "tests.debian.confined", name) as ui:
        ui.wait(lambda: answers(f"http://127.0.0.1:{port}/metrics"))
        assert ui.terminate() == 0
