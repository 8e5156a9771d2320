"""Dead letters: which are asked for, and how each is shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from tasks.exceptions import AigcError
from tasks.frozen import value
from worker.store.dead_letter_page import DeadLetter
from worker.store.dead_letters import DeadLetterFilter
from worker.store.keys import DEAD_LETTER_STATES

AGES: Final = {
    "": "at any time",
    "1h": "in the last hour",
    "4h": "in the last 4 hours",
    "1d": "in the last day",
    "7d": "in the last 7 days",
    "-1h": "more than an hour ago",
    "-1d": "more than a day ago",
    "-7d": "more than 7 days ago",
}
"""By what stands in the URL."""

MEANS: Final[dict[str, str]] = {
    "unknown": "held: it may have been bought",
    "exhausted": "attempts or time ran out, nothing was bought",
    "rejected": "the job itself is bad",
}

_SECONDS: Final = {"1h": 3600, "4h": 4 * 3600, "1d": 86_400, "7d": 7 * 86_400}
_TEXT_MOST: Final = 200
_IN_A_PATH: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]+")
"""Job ids that stand in a path as they are, whatever proxies and browsers make of paths."""

WINDOWS: Final = {"hour": "last hour", "day": "last day"}


class BadQuery(AigcError, ValueError):
    """A filter that cannot be right; says which field, and what it must be."""


@value(frozen=True, slots=True)
class LetterQuery:
    """What the URL asks for; empty where nothing is."""

    state: str = ""
    workflow: str = ""
    code: str = ""
    age: str = ""
    cursor: str = ""
    window: str = "hour"

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> LetterQuery:
        """Of a query or a form; raises BadQuery."""
        query = cls(
            state=str(given.get("state", "")),
            workflow=str(given.get("workflow", "")).strip(),
            code=str(given.get("code", "")).strip(),
            age=str(given.get("age", "")),
            cursor=str(given.get("cursor", "")),
            window=str(given.get("window", "")) or "hour",
        )
        _must_be("state", query.state, ("", *DEAD_LETTER_STATES))
        _must_be("age", query.age, tuple(AGES))
        _must_be("window", query.window, tuple(WINDOWS))
        for field in ("workflow", "code"):
            if len(getattr(query, field)) > _TEXT_MOST:
                raise BadQuery(f"{field}: must be at most {_TEXT_MOST} characters")
        return query

    def wanted(self, now_s: float) -> DeadLetterFilter:
        """The filter as the store has it."""
        states = tuple(state for state in DEAD_LETTER_STATES if self.state in ("", state))
        bounds: dict[str, float] = {}
        if self.age:
            seconds = _SECONDS[self.age.removeprefix("-")]
            bounds["until_s" if self.age.startswith("-") else "since_s"] = now_s - seconds
        return DeadLetterFilter(states, self.workflow or None, self.code or None, **bounds)

    @property
    def filters(self) -> bool:
        """Whether anything is left out."""
        return any((self.state, self.workflow, self.code, self.age))

    def link(self, **changes: str) -> str:
        """The query of a URL of the page, with these fields changed; empty for the page as it is at first."""
        names = ("state", "workflow", "code", "age", "cursor", "window")
        fields = {name: changes.get(name, getattr(self, name)) for name in names}
        if fields["window"] == "hour":
            fields["window"] = ""
        told = urlencode({name: text for name, text in fields.items() if text})
        return f"?{told}" if told else "?"


@value(frozen=True, slots=True)
class LetterRow:
    """A dead letter in the table."""

    job_id: str
    link: str
    status: str
    means: str
    workflow: str
    code: str
    message: str
    finished_at: str
    attempts: int
    possible_duplicate: bool


def row(letter: DeadLetter) -> LetterRow:
    """A dead letter as a row."""
    result = letter.result
    return LetterRow(
        job_id=result.job_id,
        link=link_of(result.job_id),
        status=result.status,
        means=MEANS.get(result.status, ""),
        workflow=result.workflow,
        code=result.error_code or "",
        message=result.error_msg or "",
        finished_at=result.finished_at,
        attempts=result.attempts,
        possible_duplicate=result.possible_duplicate,
    )


def link_of(job_id: str, **query: str) -> str:
    """The page of a job, from `/` on; a strange id goes into the query, which nobody on the way changes."""
    if _IN_A_PATH.fullmatch(job_id):
        return f"dead-letters/{job_id}" + (f"?{urlencode(query)}" if query else "")
    return f"dead-letters/?{urlencode({'job': job_id, **query})}"


def _must_be(field: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise BadQuery(f"{field}: must be one of {', '.join(filter(None, known))}, or empty")
