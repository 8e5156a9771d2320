"""The pictures that `aigc check` is asked about, and what is found of each, in the order of asking."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click

from tasks.payload import image_urls
from worker.cli import jobs
from worker.preflight import Fault, check_each
from worker.preflight.picture import STEPS, judge

_OF_PICTURES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".svg", ".tif", ".tiff", ".heic", ".avif"}
)
_OF_CATALOGUES: Final = frozenset({".csv", ".tsv", ".tab", ".xlsx"})
_NO_JOB: Final = "AIGC_INVALID_PAYLOAD"
_OUTCOMES: Final = {None: "ok    ", True: "WRONG ", False: "unsure"}


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to say of one picture, or of a place in a file where there is none.

    ``place`` is the file, the line in it, the field; empty for a URL that stands for itself. ``certain`` is
    None where nothing is wrong.
    """

    place: str
    url: str = ""
    code: str = ""
    words: str = ""
    certain: bool | None = None

    def of(self, fault: Fault | None) -> Found:
        """The same, once it is known."""
        if fault is None:
            return self
        return replace(self, code=str(fault.code), words=fault.words, certain=fault.certain)

    def as_json(self) -> str:
        """One object on a line; ``fault`` is null where nothing is wrong."""
        fault = {"code": self.code, "message": self.words, "certain": self.certain}
        about = {"place": self.place or None, "url": self.url or None}
        return json.dumps({**about, "fault": None if self.certain is None else fault}, ensure_ascii=False)

    def as_text(self) -> str:
        """One line for people."""
        why = ": ".join(filter(None, (self.code, self.words)))
        return "  ".join(filter(None, (_OUTCOMES[self.certain], self.place, self.url, why)))


def findings(given: Sequence[str]) -> Iterator[Found]:
    """What is found of each picture; those of one file as soon as they and those before them are known.

    Raises:
        SettingsError: AIGC_FETCH_ALLOW cannot be right.
        click.ClickException: a file cannot be read.
    """
    urls = [each for each in given if is_url(each)]
    known = dict(_known(Found("", url) for url in urls)) if urls else {}
    for each in given:
        yield from ([known[each]] if is_url(each) else _of_file(Path(each)))


def is_url(text: str) -> bool:
    """Whether an argument is meant as a URL."""
    return "://" in text or text.startswith("//")


def _known(asked: Iterable[Found]) -> Iterator[tuple[str, Found]]:
    by_url = {found.url: found for found in asked}
    yield from ((url, by_url[url].of(fault)) for url, fault in check_each(by_url))


def _of_file(path: Path) -> Iterator[Found]:
    if path.suffix.lower() in _OF_CATALOGUES:
        command = "aigc submit FILE --map MAPPING --dry-run --preflight"
        raise click.ClickException(f"{path}: is a catalogue: {command} looks at its pictures")
    try:
        with path.open("rb") as file:
            head = file.read(STEPS[-1])
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
    if path.suffix.lower() in _OF_PICTURES:
        size = path.stat().st_size
        yield Found(str(path)).of(judge(head, size, complete=len(head) >= size))
        return
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    asked = list(_of_jobs(path) if text[:1] in (b"{", b"[") else _of_lines(path, text))
    known = dict(check_each({found.url for found in asked if found.url}))
    yield from (found.of(known[found.url]) if found.url else found for found in asked)


def _of_jobs(path: Path) -> Iterator[Found]:
    """The pictures of the jobs in a file."""
    with path.open("rb") as file:
        try:
            for place, value in jobs.read(file):
                yield from _of_job(f"{path}: {place}", value)
        except jobs.Unreadable as error:
            raise click.ClickException(f"{path}: {error}") from None


def _of_job(place: str, value: object) -> Iterator[Found]:
    try:
        payload = jobs.submission(value, metadata=None, unlisted=False).payload
        assert isinstance(payload, dict)
    except ValueError as error:
        yield Found(place, code=_NO_JOB, words=str(error), certain=True)
        return
    pictures = [Found(f"{place}: {field}", url) for field, url in image_urls(payload)]
    yield from pictures or [Found(place, words="has no picture")]


def _of_lines(path: Path, text: bytes) -> Iterator[Found]:
    """The URLs in a text file, one on each line; or the file itself, where it is something else."""
    first = text.partition(b"\n")[0].decode("utf-8", "replace").strip()
    if not is_url(first):
        size = path.stat().st_size
        yield Found(str(path)).of(judge(text, size, complete=len(text) >= size))
        return
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if url := line.strip():
                yield Found(f"{path}: line {number}", url)
