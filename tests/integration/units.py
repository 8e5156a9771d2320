"""The units of deploy/systemd, read; and what they start, run on this machine."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.integration.native import ROOT, SCRIPTS, Native, running
from tests.substitution import substituted

FOLDER = ROOT / "deploy" / "systemd"
UNITS = tuple(sorted(path.name for path in FOLDER.glob("*.service")))
PROGRAM = "/opt/aigc/bin/aigc"
Settings = dict[str, list[str]]


def read(unit: str) -> Settings:
    """The values of each name, in the unit's order; names of all sections differ."""
    found: Settings = defaultdict(list)
    for line in (FOLDER / unit).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[name].append(value)
    return found


class NativeUnit:
    """A unit, its folders on this machine.

    Args:
        credentials: what is in the files of /etc/aigc/credentials, by name; of a folder, by ``folder/name``.
        instead: what stands here for what is there.
        settings: what is in /etc/aigc/aigc.env.
    """

    def __init__(
        self,
        unit: str,
        folder: Path,
        credentials: Mapping[str, str],
        *,
        instead: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._unit, self._folder = read(unit), folder / unit
        self.credentials, self.state = self._folder / "credentials", self._folder / "state"
        self._instead = {"%d": str(self.credentials), "%S": str(self.state)} | dict(instead or {})
        self._settings = dict(settings or {})
        self.credentials.mkdir(parents=True)
        for name in self._unit["StateDirectory"]:
            (self.state / name).mkdir(parents=True)
        for line in self._unit["LoadCredential"]:
            name, _, path = line.partition(":")
            self._load(name, path.removeprefix("/etc/aigc/credentials/"), credentials)

    def _load(self, name: str, source: str, credentials: Mapping[str, str]) -> None:
        """As systemd does: a file under its name, each file of a folder under both names."""
        if source in credentials:
            (self.credentials / name).write_text(credentials[source])
        for path, text in credentials.items():
            if path.startswith(f"{source}/"):
                (self.credentials / f"{name}_{path.removeprefix(f'{source}/')}").write_text(text)

    def environment(self) -> dict[str, str]:
        words = [word for line in self._unit["Environment"] for word in shlex.split(line)]
        own = {name: self._here(text) for name, _, text in (word.partition("=") for word in words)}
        return {"HOME": str(self._folder)} | own | self._settings

    def command(self) -> list[str]:
        (line,) = self._unit["ExecStart"]
        for name, text in self._settings.items():
            line = line.replace(f"${{{name}}}", text)
        return shlex.split(self._here(line).replace(PROGRAM, f"{SCRIPTS}/aigc"))

    def _here(self, text: str) -> str:
        return substituted(text, self._instead)

    @contextmanager
    def running(self, *before: str) -> Iterator[Native]:
        """Run what the unit starts; `before`: a command that the unit's own is an argument of."""
        with running([*before, *self.command()], self.environment(), self._folder / "log") as native:
            yield native
