"""The script that sets up the environment and runs the project's commands."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import subprocess
import sys
import threading
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of its own, in a path with a space: the script and small files for it to read."""
    root = tmp_path / "a project"
    (root / "requirements").mkdir(parents=True)
    shutil.copy(ROOT / "dev", root / "dev")
    (root / "pyproject.toml").write_text("[project]\n")
    (root / "setup.py").write_text("")
    for name in ("build.lock", "dev.lock"):
        (root / "requirements" / name).write_text(f"{name[:3]}==1.0\n")
    return root


@pytest.fixture
def dev(project: Path) -> ModuleType:
    """That project's script, imported."""
    loader = SourceFileLoader("dev_script", str(project / "dev"))
    spec = importlib.util.spec_from_loader("dev_script", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def commands(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that the set-up runs, noted instead of run."""
    noted: list[str] = []

    def note(*command: str, **_environment: str) -> None:
        noted.append(" ".join(command))
        (dev.VENV / "bin").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(dev, "check", note)
    return noted


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(project / "dev"), *arguments]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=30)


def run_under(project: Path, preparation: str) -> subprocess.CompletedProcess[str]:
    """Run ``dev test`` in an interpreter that was changed before."""
    script = f"import runpy, sys; {preparation}; sys.argv = [{str(project / 'dev')!r}, 'test'];"
    script += "runpy.run_path(sys.argv[0], run_name='__main__')"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)


def pretend_installed(dev: ModuleType, **programs: str) -> None:
    """A finished .venv whose programs are shell scripts with these texts."""
    dev.BIN.mkdir(parents=True)
    for name, text in programs.items():
        (dev.BIN / name).write_text(f"#!/bin/sh\n{text}\n")
        (dev.BIN / name).chmod(0o755)
    locked = dev.digest(dev.LOCKS, str(dev.ROOT), sys.version)
    dev.stamp("locked", locked)
    dev.stamp("project", dev.digest(dev.DEFINITION, locked))


def test_old_python_is_told(project: Path) -> None:
    """Under an older Python it ends with one sentence that says which one it needs."""
    done = run_under(project, "sys.version_info = (3, 9, 2, 'final', 0)")

    assert done.returncode == 1
    assert done.stderr.startswith("dev: needs Python 3.11 or newer, and this is 3.9.")
    assert len(done.stderr.splitlines()) == 1


def test_old_python_can_read_it() -> None:
    """Its grammar is one that an older Python accepts: otherwise that would show a traceback."""
    ast.parse((ROOT / "dev").read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_missing_venv_module_names_the_package(project: Path, module: str) -> None:
    """Where the venv module is missing it names the Debian package to install, and leaves no .venv."""
    done = run_under(project, f"sys.modules[{module!r}] = None")

    assert done.returncode == 1
    assert f"apt-get install python3.{sys.version_info[1]}-venv" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / ".venv").exists()


@pytest.mark.parametrize(("arguments", "code"), [((), 2), (("--help",), 0), (("nonsense",), 2)])
def test_usage(project: Path, arguments: tuple[str, ...], code: int) -> None:
    """Bad usage exits 2, help exits 0, and both show every command."""
    done = run(project, *arguments)

    assert done.returncode == code
    for command in ("demo", "test", "coverage", "matrix", "lowest", "lint", "lock"):
        assert f"\n  {command} " in done.stdout + done.stderr


def test_arguments_and_exit_code_pass_through(project: Path, dev: ModuleType) -> None:
    """The command gets the arguments and the environment's PATH; its exit code comes back."""
    pretend_installed(dev, python='echo "$@"; command -v python; pwd; exit 7')

    done = run(project, "test", "-k", "two words")

    assert done.returncode == 7
    first, *others = done.stdout.splitlines()
    assert (first.startswith("-m pytest "), first.endswith(" -k two words")) == (True, True)
    assert others == [str(dev.BIN / "python"), str(project)]
    assert done.stderr == ""


def test_every_check_runs_though_one_fails(project: Path, dev: ModuleType) -> None:
    """``lint`` shows all that is wrong at once, and fails if any check does."""
    pretend_installed(dev, ruff="echo ruff; exit 1", mypy="echo mypy", **{"lint-imports": "echo imports"})

    done = run(project, "lint")

    assert done.returncode == 1
    assert sorted(set(done.stdout.split())) == ["imports", "mypy", "ruff"]


def test_set_up_is_done_once(dev: ModuleType, commands: list[str]) -> None:
    """The first run installs the locked packages by their hashes, then the project; the next nothing."""
    dev.set_up()
    venv, locked, project = commands
    assert "-m venv --clear" in venv
    assert "--require-hashes --no-deps" in locked
    assert "--no-deps --no-build-isolation --editable" in project

    dev.set_up()
    assert len(commands) == 3


def test_changes_are_noticed(dev: ModuleType, commands: list[str]) -> None:
    """A changed lock makes .venv anew; a changed pyproject.toml only installs the project again."""
    dev.set_up()

    (dev.ROOT / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    dev.set_up()
    assert len(commands) == 4

    dev.LOCKS[1].write_text("dev==2.0\n")
    dev.set_up()
    assert len(commands) == 7


def test_interrupted_set_up_is_done_again(
    dev: ModuleType, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was interrupted while it installed counts as not installed."""
    install = dev.pip_install

    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dev, "pip_install", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dev.set_up()

    monkeypatch.setattr(dev, "pip_install", install)
    commands.clear()
    dev.set_up()
    assert len(commands) == 3


def test_two_at_once_install_once(
    dev: ModuleType, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run waits for the first one's installation, and then uses it."""
    make_venv, entered, second_came = dev.make_venv, threading.Event(), threading.Event()

    def slow(where: Path) -> None:
        if entered.is_set():
            second_came.set()
        entered.set()
        second_came.wait(0.5)
        make_venv(where)

    monkeypatch.setattr(dev, "make_venv", slow)
    runs = [threading.Thread(target=dev.set_up) for _ in range(2)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()

    assert not second_came.is_set()
    assert len(commands) == 3


def test_failed_installation_shows_what_pip_said(dev: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    """A step that fails prints its whole output and ends the run with its exit code."""
    with pytest.raises(SystemExit) as ending:
        dev.check("sh", "-c", "echo out; echo no matching distribution >&2; exit 3")

    assert ending.value.code == 3
    assert "out\nno matching distribution\n" in capfd.readouterr().err


def test_the_matrix_tells_what_is_there_and_what_passed(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A Python that is not there is named, and is a failure where it was asked for; so is one that fails."""
    ends = {"3.11": "passed", "3.12": "failed"}
    monkeypatch.setattr(dev, "find_python", lambda version: version if version in ends else None)
    monkeypatch.setattr(dev, "run_under", lambda version, python: ends[version])
    monkeypatch.setattr(dev, "PYTHONS", ["3.11", "3.14"])

    assert [dev.matrix(wanted) for wanted in ([], ["3.11"], ["3.12"], ["3.11", "3.14"])] == [0, 0, 1, 1]
    assert "dev: Python 3.11: passed\ndev: Python 3.14: not found\n" in capfd.readouterr().err


def test_the_lowest_versions_have_an_environment_of_their_own(
    project: Path, dev: ModuleType, commands: list[str]
) -> None:
    """Made once from their lock; pytest's arguments and exit code pass through."""
    (project / "requirements" / "lowest.lock").write_text("low==1.0\n")
    python = dev.VENV / "lowest" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@" > ran; exit 5\n')
    python.chmod(0o755)

    assert [dev.lowest([]), dev.lowest(["-k", "submit"])] == [5, 5]

    made = [command for command in commands if "lowest.lock" in command]
    assert len(made) == 1
    assert "--require-hashes" in made[0]
    assert (project / "ran").read_text().endswith("tests/unit/tasks/test_testing.py -k submit\n")


def test_a_python_is_found_by_its_version(dev: ModuleType) -> None:
    """The one that runs this is; one that there will never be is not."""
    assert dev.find_python(f"3.{sys.version_info[1]}")
    assert dev.find_python("3.99") is None
