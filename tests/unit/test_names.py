"""Two names for producers, and programs that have modules of the same names: each in a process of its own."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import tasks
from tasks import _two_names
from tasks._two_names import SameModules
from worker.dev import processes

ROOT = Path(__file__).parents[2]
AIGC = Path(sys.executable).parent / "aigc"
OTHERS = ("tasks", "worker", "redis", "click", "celery", "kombu", "queue", "logging")
"""Modules of a shop, each of which hides one that this program needs."""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A directory with a `tasks.py` as in Celery's tutorial."""
    (tmp_path / "tasks.py").write_text(
        "from celery import Celery\napp = Celery('shop')\n@app.task\ndef add(x, y):\n    return x + y\n"
    )
    return tmp_path


def run(directory: Path, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIGC_", "PYTHON"))}
    return subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        env=env | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def python(directory: Path, program: str) -> str:
    """What a program prints that runs in the directory, and looks for modules there first."""
    done = run(directory, sys.executable, "-W", "error", "-c", program)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_aigc_works_where_a_module_of_the_shop_is_called_tasks(shop: Path) -> None:
    """Models, `submit`, results and errors come from `aigc`; `tasks` is the shop's, whichever is first."""
    for first, second in (("tasks", "aigc"), ("aigc", "tasks")):
        program = (
            f"import {first}, {second}\n"
            "from aigc import InvalidPayload, TextToImage, submit, submit_many, signature, configure\n"
            "from aigc.results import consume\n"
            "from aigc.result import Result\n"
            "try: TextToImage(input_text='a cat', width=0, height=1)\n"
            "except InvalidPayload as error: print(tasks.add(1, 2), error.errors[0][0])\n"
        )
        assert python(shop, program) == "3 algoInput.width"


def test_submit_of_aigc_queues_where_a_module_of_the_shop_is_called_tasks(shop: Path) -> None:
    """It gets as far as Redis, by its own client and by Celery, and says itself that it is away."""
    program = (
        "import tasks, aigc\n"
        "aigc.configure(redis_url='redis://127.0.0.1:1/0')\n"
        "for options in ({}, {'countdown': 1}):\n"
        "    try: aigc.submit(aigc.TextToImage(input_text='a cat', width=1, height=1), **options)\n"
        "    except aigc.BrokerUnavailable as error: print('away')\n"
    )
    assert python(shop, program).split() == ["away", "away"]


@pytest.mark.parametrize(("first", "second"), [("tasks", "aigc"), ("aigc", "tasks")])
def test_both_names_are_the_same_modules(tmp_path: Path, first: str, second: str) -> None:
    """An error that one raises the other catches, and what one configures holds for the other."""
    program = (
        f"import {first}, {second}.results, {first}.results, {second}.broker\n"
        "assert tasks.__all__ == aigc.__all__\n"
        "for name in tasks.__all__: assert getattr(tasks, name) is getattr(aigc, name), name\n"
        "assert tasks.results is aigc.results and tasks.broker is aigc.broker\n"
        f"from {second} import outputs\n"
        f"assert {first}.outputs is outputs\n"
        f"from {second}.reading.readers import StreamReader as one\n"
        f"from {first}.reading.readers import StreamReader as other\n"
        "assert one is other\n"
        f"{first}.configure(queue='shop')\n"
        f"print({second}.broker.settings().queue)\n"
        f"import {second}.nonsense\n"
    )
    done = run(tmp_path, sys.executable, "-c", program)
    assert done.stdout.strip() == "shop"
    assert f"No module named '{second}.nonsense'" in done.stderr


def test_modules_below_one_name_are_those_below_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process too, where only `tasks` is loaded; what is there under neither name is not found."""
    monkeypatch.setattr(sys, "meta_path", [SameModules("second_name", "tasks"), *sys.meta_path])
    monkeypatch.setitem(sys.modules, "second_name", tasks)
    for name in ("second_name.contract", "second_name.results"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        assert import_module(name) is import_module(name.replace("second_name", "tasks"))
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError, match=r"second_name\.nonsense"):
        import_module("second_name.nonsense")


@pytest.mark.parametrize(
    ("loaded", "shared"), [({}, 0), ({"shop": 1, "shop._two_names": 1}, 1), ({"shop": 1}, 0)]
)
def test_only_this_package_shares_its_modules(
    loaded: dict[str, Any], shared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that is merely called by the other name is somebody else's."""
    monkeypatch.setattr(_two_names, "_NAMES", ("tasks", "shop"))
    monkeypatch.setattr(sys, "meta_path", [])
    for name, module in loaded.items():
        monkeypatch.setitem(sys.modules, name, module)
    _two_names._share("tasks")
    assert len(sys.meta_path) == shared


def test_the_command_line_is_not_affected_by_the_working_directory(tmp_path: Path) -> None:
    """Nor by PYTHONPATH: what lies there is never loaded, whatever it is called."""
    for name in OTHERS:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the {name} of the shop')\n")
    for environment in ({}, {"PYTHONPATH": "."}, {"PYTHONPATH": str(tmp_path)}, {"PYTHONPATH": ""}):
        away = {"AIGC_REDIS_URL": "redis://127.0.0.1:1/0"}
        done = run(tmp_path, AIGC, "status", **environment, **away)
        assert (done.returncode, done.stderr) == (
            1,
            "aigc: Redis does not answer: Error 111 connecting to 127.0.0.1:1. Connection refused.\n",
        )
        done = run(tmp_path, AIGC, "worker", **environment, **away)
        assert "AIGC_ACCESS_KEY" in done.stderr
        assert "the " not in done.stderr.replace("the vendor", "")


def test_the_demos_processes_are_not_affected_either(tmp_path: Path) -> None:
    """The way in which it starts a worker and the sandbox is as good as the command."""
    for name in OTHERS:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the {name} of the shop')\n")
    done = run(tmp_path, *processes.AIGC, "--version", PYTHONPATH=".")
    assert (done.returncode, done.stderr) == (0, "")


def test_celerys_command_finds_the_workers_own_tasks(shop: Path) -> None:
    """`celery -A worker.app` in a directory with a `tasks.py`, where Celery looks first."""
    celery = Path(sys.executable).parent / "celery"
    keys = {"AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "b"}
    done = run(shop, celery, "-A", "worker.app", "inspect", "--help", **keys)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_that_has_another_tasks_is_told_so_by_the_worker(shop: Path) -> None:
    """The error names the shop's file, and what to do."""
    done = run(shop, sys.executable, "-c", "import tasks, worker.app")
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: this process has loaded another module that is called tasks, {shop}/tasks.py: run the"
        " worker by itself, with `aigc worker`; a program that only queues jobs imports `aigc`"
    )


def test_no_module_of_tasks_counts_on_its_name() -> None:
    """It imports its neighbours relatively, for it may have been imported as `aigc`."""
    for file in (ROOT / "tasks").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            assert not {"tasks", "aigc"} & {name.partition(".")[0] for name in names}, file


def test_aigc_leaves_the_name_tasks_alone(tmp_path: Path) -> None:
    """It exports what `tasks` does, and a shop's `tasks` that is found only later is still the shop's."""
    program = "import json, aigc, sys; print(json.dumps([aigc.__all__, 'tasks' in sys.modules]))"
    assert json.loads(python(tmp_path, program)) == [tasks.__all__, False]


def test_ctrl_c_while_aigc_is_being_imported_prints_nothing(tmp_path: Path) -> None:
    """It ends as later: exit 130, without a traceback."""
    program = (
        "import sys, aigc_worker\n"
        "class CtrlC:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'worker.cli': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, CtrlC())\n"
        "aigc_worker.main()"
    )
    done = run(tmp_path, sys.executable, "-c", program)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
