"""What is installed, what is locked, and which module may read the environment."""

from __future__ import annotations

import ast
import base64
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tasks import contract, payload

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
EXTRAS = {
    "worker.lock": ["worker", "events", "forward", "s3", "ui", "otel"],
    "sandbox.lock": ["worker", "events", "forward", "s3", "ui", "otel", "sandbox"],
    "dev.lock": ["worker", "sandbox", "dev"],
}
ENVIRONMENT_READERS = {"worker/config/settings.py", "tasks/settings.py"}


def pins(lock: str) -> dict[str, str]:
    """Name to version of what a lock file holds."""
    lines = (ROOT / "requirements" / lock).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", lines, re.MULTILINE))


def direct_requirements(extras: list[str]) -> list[Requirement]:
    """The project's own requirements: those of a base install and of these extras."""
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return [requirement for line in lines if (requirement := Requirement(line)).name != PROJECT["name"]]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_lock_holds_versions_and_hashes_only(lock: Path) -> None:
    """Every locked package has a hash, and no line names an address, an option or a path of a machine."""
    text = lock.read_text()
    entries = re.split(r"^(?=[^\s#])", text, flags=re.MULTILINE)[1:]

    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==\S+ \\\n( {4}--hash=sha256:[0-9a-f]{64}( \\)?\n)+", entry), entry[:80]
    assert not re.search(r"://|@|^-|(^| |=)/", text, re.MULTILINE)


@pytest.mark.parametrize(("lock", "extras"), EXTRAS.items())
def test_lock_is_fresh(lock: str, extras: list[str]) -> None:
    """Every requirement in pyproject.toml is locked, at a version that it allows."""
    locked = pins(lock)

    for requirement in direct_requirements(extras):
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{name}: ./dev lock"
        assert requirement.specifier.contains(locked[name]), (
            f"{requirement}, locked {locked[name]}: ./dev lock"
        )


def test_what_is_locked_takes_the_first_python_that_the_project_takes() -> None:
    """`./dev` works with a Python as distributions ship it, 3.11.2 for one."""
    for name in {**pins("build.lock"), **pins("dev.lock")}:
        takes = metadata.distribution(name).metadata["Requires-Python"]
        first = PROJECT["requires-python"].removeprefix(">=") + ".0"
        assert takes is None or SpecifierSet(takes).contains(first), f"{name} takes {takes}"


def test_the_lowest_versions_are_those_of_pyproject() -> None:
    """`./dev lowest` tests what a base install takes at the least, no version above it."""
    lines = (ROOT / "requirements" / "lowest.in").read_text().splitlines()
    tested = {Requirement(line).name: Requirement(line) for line in lines if "==" in line}
    locked = pins("lowest.lock")

    for requirement in direct_requirements([]):
        (least,) = (str(each.version) for each in requirement.specifier if each.operator == ">=")
        assert Version(locked[canonicalize_name(requirement.name)]) == Version(least), requirement
        assert tested.pop(requirement.name).specifier.contains(least)
    assert tested == {}


def test_only_the_worker_pins_celery_and_redis() -> None:
    """A program that queues jobs keeps its own: of Celery from 5.4, of redis from 5."""
    base = {each.name: each.specifier for each in direct_requirements([])}
    extra = {
        each.name: each.specifier for each in map(Requirement, PROJECT["optional-dependencies"]["worker"])
    }

    for name, versions in {
        "celery": ["5.4.0", "5.5.3", "5.6.0"],
        "redis": ["5.0.1", "6.4.0", "7.1.0"],
    }.items():
        for version in versions:
            assert base[name].contains(version)
            assert not extra[name].contains(version)


def required_by_a_plain_install(requirements: list[Requirement]) -> set[str]:
    """Names of these and of all that they require in turn, extras only where one is asked for."""
    found: set[str] = set()
    seen: set[str] = set()
    left = list(requirements)
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        found.add(name)
        key = f"{name}[{','.join(sorted(requirement.extras))}]"
        if key in seen:
            continue
        seen.add(key)
        for line in metadata.requires(name) or []:
            each = Requirement(line)
            if each.marker is None or any(
                each.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)
            ):
                left.append(each)
    return found


@pytest.mark.parametrize("extras", [[], ["worker"]], ids=["base", "worker"])
def test_a_plain_install_has_what_kombu_needs_for_redis(extras: list[str]) -> None:
    """Celery's extra for Redis is not asked for: what kombu's has must be ours. Other tools bring it here."""
    ours = required_by_a_plain_install(direct_requirements(extras))

    for line in metadata.requires("kombu") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and requirement.marker.evaluate({"extra": "redis"}):
            assert canonicalize_name(requirement.name) in ours, requirement


def test_locks_agree() -> None:
    """What runs in production is what was tested: the same versions in every lock."""
    tested = pins("dev.lock")

    assert pins("worker.lock").items() <= pins("sandbox.lock").items() <= tested.items()
    assert "pytest" in tested
    assert "pytest" not in pins("sandbox.lock")


def test_installed_is_what_is_locked() -> None:
    """The environment that runs the tests holds the locked versions, and all that they require."""
    locked = pins("dev.lock") | pins("build.lock")

    for name, version in locked.items():
        assert metadata.version(name) == version
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                assert canonicalize_name(requirement.name) in locked, f"{name} requires {requirement}"


def test_wheel_is_complete(tmp_path: Path) -> None:
    """The built distribution holds every module, script and type marker of its packages, and no test."""
    source = tmp_path / "source"
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        source.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    expected = set()
    for package in ("aigc_worker", "tasks", "worker"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
        files = (path for path in (source / package).rglob("*") if path.is_file())
        expected |= {path.relative_to(source).as_posix() for path in files}
    # The files of `tasks` once more, for programs whose own `tasks.py` hides them.
    expected |= {"aigc" + name.removeprefix("tasks") for name in expected if name.startswith("tasks/")}
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run([*build, f"--wheel-dir={tmp_path}", str(source)], check=True, timeout=50)

    (wheel,) = tmp_path.glob("aigc_worker-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == expected
    assert {"tasks/py.typed", "aigc/py.typed", "aigc/results/__init__.py"} <= packed


def reads_environment(file: Path) -> bool:
    """Whether the module touches the process's environment variables."""
    names = {"environ", "environb", "getenv", "getenvb"}
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in names:
                return True
            case ast.ImportFrom(module="os") if names & {alias.name for alias in node.names}:
                return True
    return False


def test_environment_is_read_in_one_place_a_package() -> None:
    """Only worker.config.settings and tasks.settings read environment variables; all else is told by them."""
    modules = [file for package in ("tasks", "worker") for file in (ROOT / package).rglob("*.py")]
    readers = {file.relative_to(ROOT).as_posix() for file in modules if reads_environment(file)}

    assert readers <= ENVIRONMENT_READERS


def test_message_in_the_reference_is_a_good_job() -> None:
    """The message that the docs show to other languages decodes to a payload that passes validation."""
    page = ROOT / "docs" / "reference" / "messages.md"
    blocks = re.findall(r"```json\n(.+?)```", page.read_text(), re.DOTALL)
    message = next(json.loads(block) for block in blocks if '"body"' in block)
    args, kwargs, _ = json.loads(base64.b64decode(message["body"]))

    assert message["headers"]["task"] == contract.TASK_NAME
    assert payload.parse(args[0]) == args[0]
    assert set(kwargs) == {"metadata"}


def test_examples_are_good_jobs() -> None:
    """Every line of examples/jobs.ndjson passes validation."""
    lines = (ROOT / "examples" / "jobs.ndjson").read_text().splitlines()

    assert len(lines) == 3
    for line in lines:
        payload.parse(json.loads(line))
