"""The code blocks of a Markdown page, and a reader who types them in, one after the other."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import termios
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

from tests.conditions import PATIENCE_S, until
from tests.substitution import substituted

SHELL = {"sh": "bash -eu -o pipefail {}", "python": "python {}"}
ENDING = {"sh": "sh", "python": "py"}
"""The languages that are run."""

_MARKER = re.compile(r"<!-- (not run|until|each line alone):? ?(.*?) ?-->\s*$")
_TITLE = re.compile(r'title="([^"]+)"')
_ANSWERS = b"y\n" * 9
"""What stands at the input of every block, a terminal: a reader who agrees."""


@dataclass(frozen=True)
class Block:
    """A fenced block, or an indented one (language "")."""

    line: int
    language: str
    text: str
    title: str = ""
    """The file in which a reader saves it; then it is not run by itself."""
    marker: str = ""
    """"not run", "until" or "each line alone", in a comment before the block."""
    words: str = ""
    """Why it is not run; what it prints once it is at work."""


def blocks(page: str) -> list[Block]:
    """All blocks of a page, in order."""
    found = []
    comment = ""
    for token in MarkdownIt("commonmark").parse(page):
        if token.type in ("fence", "code_block"):
            marker = _MARKER.search(comment)
            language, _, rest = token.info.strip().partition(" ")
            title = _TITLE.search(rest)
            found.append(
                Block(
                    (token.map or [0])[0] + 1, language, token.content, title[1] if title else "",
                    marker[1] if marker else "", marker[2] if marker else "",
                )
            )  # fmt: skip
        comment = token.content if token.type == "html_block" else ""
    return found


def parse(block: Block) -> object:
    """Its value, for a language that is data. Raises ValueError (or a subclass) where it is not good."""
    match block.language:
        case "json":
            return json.loads(block.text)
        case "ndjson":
            return [json.loads(line) for line in block.text.splitlines()]
        case "toml":
            return tomllib.loads(block.text)
        case "yaml":
            return yaml.safe_load(block.text)
        case "csv":
            rows = list(csv.reader(block.text.splitlines(), strict=True))
            if len({len(row) for row in rows}) != 1:
                raise ValueError("its rows are not of one length")
            return rows
    raise ValueError(f"no block may be of the language {block.language!r}: sh, python, json, …, or text")


class Reader:
    """Somebody with a directory and a shell, whose environment lasts from block to block.

    `replaced`: texts of the page that are others here, such as port numbers.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str], replaced: Mapping[str, str]) -> None:
        self.directory = directory
        self._environment = {**environment, "HOME": str(directory)}
        self._replaced = replaced
        self._running: list[subprocess.Popen[bytes]] = []
        self._keyboard, self._terminal = os.openpty()
        self._exported = directory / ".exported"
        self._exported.touch()

    def save(self, block: Block) -> None:
        """Save a block as the file that its title names."""
        path = self.directory / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._here(block.text))

    def run(self, block: Block) -> str:
        """Run a block to its end, or until it prints what its marker says; gives what it printed.

        Raises AssertionError where it fails.
        """
        script = self.directory / f".block-{block.line}.{ENDING[block.language]}"
        text = self._here(block.text)
        if block.language == "sh":
            text += f"\nexport -p > {self._exported}\n"
        script.write_text(text)
        return self._start(block, script)

    def run_line(self, line: str, filled: Callable[[str], str] = str) -> str:
        """Run one command; gives what it printed. Raises AssertionError where it fails.

        `filled`: puts in what a reader puts in. Of that no text of the page is replaced: a random name may
        have a port's digits.
        """
        script = self.directory / ".line.sh"
        here = filled(self._here(line))
        script.write_text(here)
        return self._start(Block(0, "sh", here), script)

    def close(self) -> None:
        """End what still runs, as Ctrl-C does."""
        for process in reversed(self._running):  # a worker before the Redis that it would wait for
            _signal(process, signal.SIGINT)
            try:
                process.wait(PATIENCE_S)
            finally:
                _signal(process, signal.SIGKILL)
        os.close(self._keyboard)
        os.close(self._terminal)

    def _start(self, block: Block, script: Path) -> str:
        log = script.with_suffix(".log")
        command = SHELL[block.language].format(script)
        termios.tcflush(self._terminal, termios.TCIFLUSH)
        os.write(self._keyboard, _ANSWERS)
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f". {self._exported}; exec {command}"],
                cwd=self.directory, env=self._environment, stdin=self._terminal, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._running.append(process)

        def done() -> bool:
            return process.poll() is not None or (block.marker == "until" and block.words in log.read_text())

        try:
            until(done, "its end, or for what it has to print")
        except AssertionError as error:
            raise AssertionError(f"{block.text}\nprinted:\n{log.read_text()}") from error
        printed = log.read_text()
        if block.marker == "until":
            assert block.words in printed, f"{block.text}\nprinted:\n{printed}"
        else:
            assert process.returncode == 0, f"{block.text}\nended with {process.returncode}:\n{printed}"
        return printed

    def _here(self, text: str) -> str:
        return substituted(text, self._replaced)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To all processes of its session that are left."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def lines(block: Block) -> Iterator[str]:
    """The commands of a block, one a line, without comments."""
    for line in block.text.splitlines():
        if command := line.partition(" #")[0].strip():
            yield command
