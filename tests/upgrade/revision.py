"""An earlier revision of this program, out of git, in an environment of its own lock."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = ROOT / ".venv" / "upgrade"
"""Where revisions are kept, each below its commit: inside of what `./dev` makes, and what git ignores."""

OLDEST: Final = "7afeb73"
"""The oldest revision for which it is promised that its workers run beside this version's."""

_ASKED: Final = """
import importlib.util, json
from importlib.metadata import version
from tasks.arguments import KNOWN
measures = importlib.util.find_spec("worker.store.metric_fields") is not None
follows = importlib.util.find_spec("worker.following") is not None
about = {"version": version("aigc-worker"), "arguments": list(KNOWN), "measures": measures}
print(json.dumps(about | {"follows": follows}))
"""


@dataclass(frozen=True, slots=True)
class Revision:
    """One that is set up: its commit, its directory, and what it knows.

    ``knows_batches``: the argument `batch` of a message; ``measures``: its workers count for the metrics;
    ``follows``: they follow tasks, and it has services for events and webhooks.
    """

    commit: str
    directory: Path
    version: str
    knows_batches: bool
    measures: bool
    follows: bool

    def program(self, name: str) -> str:
        """The path of a program in its environment."""
        return str(self.directory / ".venv" / "bin" / name)


def set_up(name: str) -> Revision:
    """Take the revision of this name out of git, and install what its lock says, once.

    Raises:
        SystemExit: there is no git, no such revision, or it cannot be installed; says why.
    """
    commit = _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").decode().strip()
    directory = KEPT / commit[:12]
    if not (directory / "dev").exists():
        _extract(commit, directory)
    command = [sys.executable, str(directory / "dev"), "demo", "--help"]  # sets up, and does nothing else
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"upgrade-check: {commit[:12]} cannot be set up: {done.stdout}{done.stderr}")
    python = directory / ".venv" / "bin" / "python"
    about = json.loads(subprocess.check_output([python, "-c", _ASKED], cwd=directory))
    return Revision(
        commit, directory, about["version"], "batch" in about["arguments"], bool(about["measures"]),
        bool(about["follows"]),
    )  # fmt: skip


def _extract(commit: str, directory: Path) -> None:
    archive = _git("archive", "--format=tar", commit)
    directory.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = sorted(tar.getmembers(), key=lambda member: member.name == "dev")  # last: it is whole then
        tar.extractall(directory, members, filter="data")


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True)
    except FileNotFoundError:
        sys.exit("upgrade-check: needs git")
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip() or "no such revision in this clone"
        sys.exit(f"upgrade-check: git {' '.join(arguments)}: {words}")
    return done.stdout
