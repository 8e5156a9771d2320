"""The command line's frame: help, usage, exit codes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from importlib import metadata

import click
import pytest
from packaging.requirements import Requirement

from tasks import broker
from worker.cli import cli, run
from worker.cli.dry_run import _picture_check
from worker.cli.extras import MODULES

COMMANDS = sorted(cli.commands)
SETTINGS = ("AIGC_ACCESS_KEY", "AIGC_SECRET_KEY", "AIGC_REDIS_URL")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


def test_the_promised_commands_are_there() -> None:
    """Each command of the contract can be called."""
    assert {"demo", "worker", "submit", "results", "sandbox", "health"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` exits 0 and shows an example."""
    assert run([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example" in shown
    assert f"aigc {command}" in shown or f'"{command}"' in shown


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["submit"],
        ["submit", "/nonexistent/jobs.ndjson"],
        ["submit", "-", "--priority", "urgent"],
        ["submit", "-", "--metadata", "[1]"],
        ["submit", "-", "--metadata", "{"],
        ["results", "--consumer", "c"],
        ["results", "--group", ""],
        ["outputs", "--group", "g", "--consumer", ""],
        ["sandbox", "--port", "70000"],
        ["sandbox", "--access-key", "a"],
        ["sandbox", "--port", "0", "--fail", "explode"],
        ["worker", "--pool", "nonsense"],
        ["worker", "--", "--pool=gevent"],
        ["worker", "--unknown-option"],
    ],
)
def test_bad_usage_exits_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The reason goes to standard error, after the program's name; nothing is printed."""
    assert run(args) == 2
    shown = capsys.readouterr()
    assert "aigc: " in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("pool", ["gevent", "eventlet"])
def test_green_pools_are_refused_with_the_reason(pool: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says why and what to use."""
    assert run(["worker", "--pool", pool]) == 2
    assert "heartbeat" in capsys.readouterr().err


def test_wrong_settings_are_listed_and_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker does not start on them: a line for each, no secret, no traceback."""
    monkeypatch.setenv("AIGC_SECRET_KEY", "not to\nbe seen")
    monkeypatch.setenv("AIGC_CONCURRENCY", "many")
    assert run(["worker"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["AIGC_ACCESS_KEY", "AIGC_SECRET_KEY", "AIGC_CONCURRENCY"]
    assert "be seen" not in "".join(lines)


@pytest.mark.parametrize("command", [["submit", "-"], ["results"]])
def test_a_wrong_broker_url_exits_1(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, and its password is not shown."""
    monkeypatch.setenv("AIGC_REDIS_URL", "http://:hidden-pw@127.0.0.1")
    broker.configure()  # forgets what a thread that an earlier test left may have read
    assert run(command) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("aigc: AIGC_REDIS_URL must be ")
    assert "hidden-pw" not in shown


def test_help_loads_nothing_heavy() -> None:
    """The command line starts without Celery, redis-py, requests and Sentry."""
    program = (
        "import sys; from worker.cli import run; run(['--help']);"
        "sys.exit(', '.join({'celery', 'requests', 'sentry_sdk', 'redis'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("module", "extra"), [("starlette", "sandbox"), ("urllib3.util", "worker"), ("hiredis", "worker")]
)
def test_an_extra_that_is_not_installed_is_named(
    module: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A base install says what to install, without a traceback."""

    def without(*_: object, **__: object) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(cli, "main", without)
    assert run(["sandbox"]) == 1
    assert f"'.[{extra}]'" in capsys.readouterr().err


def requirements(extra: str) -> set[str]:
    """Names of the distributions that an extra brings and a base install is without."""
    named = {None: set[str](), extra: set[str]()}
    for text in metadata.requires("aigc-worker") or ():
        requirement = Requirement(text)
        for name, names in named.items():
            if (requirement.marker is None or requirement.marker.evaluate({"extra": name or ""})) and (
                name is None or 'extra == "' in text
            ):
                names.add(requirement.name + "".join(f"[{each}]" for each in requirement.extras))
    return named[extra] - named[None]


IMPORTED_AS = {
    "prometheus-client": "prometheus_client",
    "redis[hiredis]": "hiredis",
    "sentry-sdk": "sentry_sdk",
}
# What draws with rich does without; Celery is there in any case; an extra within another is asked for itself.
WITHOUT_IT = {"rich", "celery[redis]", "aigc-worker[mapping]"}


@pytest.mark.parametrize("extra", MODULES)
def test_each_module_that_an_extra_brings_is_known(extra: str) -> None:
    """Else its absence would be a traceback."""
    brought = {IMPORTED_AS.get(name, name) for name in requirements(extra)} - WITHOUT_IT
    assert set(MODULES[extra]) == brought


BASE = f"""
import json, os, sys
for name in {sorted({"rich", *sum(MODULES.values(), ())})}: sys.modules[name] = None
from worker.cli import run
for number, words in enumerate(json.loads(sys.argv[1])):
    if os.fork() == 0:
        for stream, end in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{{number}}.{{end}}", os.O_WRONLY | os.O_CREAT), stream)
        code = run(words)
        sys.stdout.flush()
        os._exit(code)  # an end in order takes longer than the rest
    with open(f"{{number}}.code", "w") as file:
        print(os.waitstatus_to_exitcode(os.wait()[1]), file=file)
"""
"""The command line where nothing but the base install is there, once for each list of arguments."""

NEED_AN_EXTRA = (
    "worker", "status", "status --json", "doctor", "health", "pause", "resume", "purge", "failed list",
    "failed show a", "failed retry --all", "failed log", "sandbox", "demo",
)  # fmt: skip


@pytest.fixture(scope="module")
def in_a_base_install(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """Exit code, output and errors of each command line there, each in a process of its own."""
    folder = tmp_path_factory.mktemp("base")
    command_lines = [*NEED_AN_EXTRA, *(f"{command} --help" for command in COMMANDS)]
    words = json.dumps([line.split() for line in command_lines])
    environ = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", BASE, words], cwd=folder, env=environ, capture_output=True, text=True,
        check=False, timeout=240,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return {
        line: (
            int((folder / f"{number}.code").read_text()),
            (folder / f"{number}.out").read_text(),
            (folder / f"{number}.err").read_text(),
        )
        for number, line in enumerate(command_lines)
    }


@pytest.mark.parametrize("args", NEED_AN_EXTRA)
def test_a_missing_extra_is_named_before_any_setting(
    args: str, in_a_base_install: dict[str, tuple[int, str, str]]
) -> None:
    """One line, exit 1; whoever sets the variables first would learn of it only afterwards."""
    code, out, err = in_a_base_install[args]
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert re.fullmatch(r"aigc: \w+ is missing: pip install '\.\[[a-z,]+\]' in the .*\n", err)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_base_install_explains_each_command(
    command: str, in_a_base_install: dict[str, tuple[int, str, str]]
) -> None:
    """Help needs no extra."""
    code, out, err = in_a_base_install[f"{command} --help"]
    assert (code, err) == (0, "")
    assert "Usage: " in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_commands(shell: str) -> None:
    """As docs/operations.md says how."""
    program = [sys.executable, "-c", "from worker.cli import main; main()"]
    asked = os.environ | {"_AIGC_COMPLETE": f"{shell}_source"}
    done = subprocess.run(program, env=asked, capture_output=True, text=True, check=False)
    assert (done.returncode, "aigc" in done.stdout) == (0, True)
    words = {"COMP_WORDS": "aigc failed l", "COMP_CWORD": "l" if shell == "fish" else "2"}
    asked = os.environ | words | {"_AIGC_COMPLETE": f"{shell}_complete"}
    done = subprocess.run(program, env=asked, capture_output=True, text=True, check=False)
    assert {"list", "log"} <= set(re.findall(r"\w+", done.stdout))


def test_a_missing_module_that_no_extra_brings_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not explained away."""

    def without(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'worker.lost'", name="worker.lost")

    monkeypatch.setattr(cli, "main", without)
    with pytest.raises(ModuleNotFoundError):
        run(["sandbox"])


@pytest.mark.parametrize("args", [[], ["failed"]])
def test_no_command_shows_the_commands_once(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It is bad usage, and the help goes to standard error."""
    assert run(args) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("Usage: ")) == ("", 1)


def test_an_option_that_needs_an_extra_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a module is missing that only the extra brings, whatever that module is for."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    words = r"^--preflight needs the extra worker: \w+ is missing: pip install '\.\[worker\]'"
    with pytest.raises(click.ClickException, match=words):
        _picture_check()
