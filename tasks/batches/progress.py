"""How far a batch is, and that it has finished: values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, Self, get_args

from pydantic import Field

from ..batch_store.moves import FIELDS, LETTERS, WAITING
from ..checks import clip
from ..contract import Status
from ..exceptions import AigcError
from ..json_text import dumps, loads
from ..prices import Prices
from ..times import TIME_PATTERN, TIME_RULE, utc_iso

STATUSES: Final = tuple(LETTERS)
EVENT_SCHEMA: Final = 1
EVENT_FIELD: Final = "event"
"""The stream entry's only field; its value is the JSON of a `BatchEvent`."""

_MINUTE_S: Final = 60.0


class NoSuchBatch(AigcError, LookupError):
    """No job was queued in a batch of that name, or it was forgotten five weeks after its last change."""


class NewerBatchEvent(AigcError, ValueError):
    """An event that a later version of this program wrote, and that only such a one can read."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of a batch. Times are UTC, ISO 8601 with milliseconds.

    `statuses` has each of the five, and how many jobs ended so; `unknown` counts as ended, and moves should
    an operator decide about it. `waiting` are the jobs that have not ended: queued, in flight, or between two
    attempts. `workflows` has the same by workflow, "waiting" among the statuses. `expected` is how many jobs
    the batch has to have before it can finish, where whoever closed it has said so. `finished_at` is None
    while a job has not ended, and where the batch is not closed.

    `rate_per_s` is how many jobs ended a second in the last minute; `time_left_s` is None where that is 0.
    `cost` is that of the jobs that were submitted, `cost_in_doubt` of the unknown ones, `cost_waiting` of
    those that have not ended; without those of workflows in `unpriced`. They are None where no workflow has a
    price (`AIGC_PRICE__…`).
    """

    batch: str
    total: int
    waiting: int
    statuses: dict[Status, int]
    workflows: dict[str, dict[str, int]]
    started_at: str
    changed_at: str
    closed_at: str | None
    finished_at: str | None
    expected: int | None
    rate_per_s: float
    time_left_s: float | None
    cost: Decimal | None
    cost_in_doubt: Decimal | None
    cost_waiting: Decimal | None
    currency: str
    unpriced: tuple[str, ...]

    @property
    def closed(self) -> bool:
        return self.closed_at is not None

    @property
    def finished(self) -> bool:
        """Whether the batch is closed, and all its jobs have ended."""
        return self.finished_at is not None

    @property
    def ended(self) -> int:
        """How many of its jobs have ended, in whatever way."""
        return self.total - self.waiting


@dataclass(frozen=True, slots=True)
class BatchEvent:
    """That all jobs of a closed batch have ended. In JSON the same fields in camel case, `schema` first.

    Told once each time that this comes to be: again where jobs were added, or queued again by an operator.
    `statuses` are those of that moment; an operator's decision about an unknown job tells none.
    """

    batch: Annotated[str, Field(description="The batch's name.")]
    total: Annotated[int, Field(ge=0, description="How many jobs it has.")]
    statuses: Annotated[
        dict[Status, Annotated[int, Field(ge=0)]],
        Field(description="How many of them ended in each way. A later version may add others."),
    ]
    closed_at: Annotated[str, Field(description=TIME_RULE, pattern=TIME_PATTERN)]
    finished_at: Annotated[str, Field(description=TIME_RULE, pattern=TIME_PATTERN)]
    schema: Annotated[int, Field(description="The version of this format.")] = EVENT_SCHEMA

    def to_json(self) -> str:
        """Compact ASCII JSON."""
        document = {
            "schema": self.schema,
            "batch": self.batch,
            "total": self.total,
            "statuses": self.statuses,
            "closedAt": self.closed_at,
            "finishedAt": self.finished_at,
        }
        return dumps(document).decode("ascii")

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Keys that are not in the contract are ignored.

        Raises:
            NewerBatchEvent: it is of a later schema.
            ValueError: it is no event of a batch.
        """
        document = loads(text)
        if not isinstance(document, dict) or type(document.get("schema")) is not int:
            raise ValueError("not an event of a batch")
        if document["schema"] > EVENT_SCHEMA:
            raise NewerBatchEvent(
                f"an event of schema {clip(document['schema'])}, this program knows {EVENT_SCHEMA}"
            )
        try:
            statuses: dict[Status, int] = {name: int(document["statuses"][name]) for name in get_args(Status)}
            return cls(
                str(document["batch"]),
                int(document["total"]),
                statuses,
                str(document["closedAt"]),
                str(document["finishedAt"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an event of a batch: {error} is missing") from None


def progress_of(
    batch: str, now_ms: int, fields: dict[str, str], counts: dict[str, dict[str, int]], prices: Prices
) -> Progress:
    """A batch's progress.

    Args:
        now_ms: Redis's time.
        fields: those of `FIELDS`, empty where they are not there.
        counts: by workflow and first letter of the jobs' entries.
    """
    total, waiting = int(fields["total"] or 0), int(fields["waiting"] or 0)
    rate = _rate(now_ms, fields)
    names: dict[str, str] = {letter: status for status, letter in LETTERS.items()} | {WAITING: "waiting"}
    priced = {workflow: prices.of(workflow) for workflow in counts}

    def cost(letter: str) -> Decimal | None:
        found = [price * counts[name].get(letter, 0) for name, price in priced.items() if price is not None]
        return sum(found, Decimal()) if found else None

    return Progress(
        batch=batch,
        total=total,
        waiting=waiting,
        statuses={
            status: sum(of.get(letter, 0) for of in counts.values()) for status, letter in LETTERS.items()
        },
        workflows={
            workflow: {names[letter]: count for letter, count in of.items() if count}
            for workflow, of in counts.items()
        },
        started_at=_iso(fields["started"]) or utc_iso(now_ms / 1000),
        changed_at=_iso(fields["changed"]) or utc_iso(now_ms / 1000),
        closed_at=_iso(fields["closed"]),
        finished_at=_iso(fields["finished"]),
        expected=int(fields["expected"]) if fields["expected"] else None,
        rate_per_s=rate,
        time_left_s=0.0 if not waiting else waiting / rate if rate else None,
        cost=cost(LETTERS["submitted"]),
        cost_in_doubt=cost(LETTERS["unknown"]),
        cost_waiting=cost(WAITING),
        currency=prices.currency,
        unpriced=tuple(workflow for workflow, price in priced.items() if price is None),
    )


def _iso(ms: str) -> str | None:
    return utc_iso(int(ms) / 1000) if ms else None


def _rate(now_ms: int, fields: dict[str, str]) -> float:
    """Jobs that ended a second, within the last minute, about."""
    if not fields["minute"]:
        return 0.0
    minute, ended, before = map(int, fields["minute"].split())
    now = now_ms // 60_000
    if now == minute + 1:
        ended, before = 0, ended
    elif now != minute:
        return 0.0
    in_this_s = now_ms / 1000 % _MINUTE_S
    recent = ended + before * (1 - in_this_s / _MINUTE_S)
    since_started_s = (now_ms - int(fields["started"] or now_ms)) / 1000
    return recent / min(_MINUTE_S, max(1.0, since_started_s))


def stored(values: list[Any]) -> dict[str, str]:
    """A batch's fields, as a script gave them."""
    return {name: value.decode() if value else "" for name, value in zip(FIELDS, values, strict=True)}
