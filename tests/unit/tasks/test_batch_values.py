"""The values of batches: an event as it is written, a rate of what is stored; and queued messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks import InvalidPayload, batches, testing
from tasks.batch_store.moves import FIELDS
from tasks.batches.progress import BatchEvent, NewerBatchEvent, NoSuchBatch, progress_of
from tasks.contract import Status
from tasks.envelope import Job, encode
from tasks.prices import Prices
from tasks.queued import read

STATUSES: dict[Status, int] = {"submitted": 2, "rejected": 1, "exhausted": 0, "unknown": 0, "cancelled": 0}
EVENT = BatchEvent("night", 3, STATUSES, "2026-11-30T01:00:00.000Z", "2026-11-30T02:00:00.000Z")
MINUTE_MS = 60_000


def test_an_event_is_read_as_it_was_written() -> None:
    """Keys that are not in the contract are passed over."""
    document = json.loads(EVENT.to_json())
    assert BatchEvent.from_json(json.dumps({**document, "later": 1})) == EVENT


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"schema": "1"}', '{"schema": 1}', '{"schema": 1, "statuses": {}}']
)
def test_what_is_no_event_is_refused(text: str) -> None:
    """In words, by a ValueError."""
    with pytest.raises(ValueError, match="not an event of a batch"):
        BatchEvent.from_json(text)


def test_an_event_of_a_later_schema_is_named() -> None:
    """Its fields may mean something else."""
    with pytest.raises(NewerBatchEvent, match="schema 2, this program knows 1"):
        BatchEvent.from_json(json.dumps({**json.loads(EVENT.to_json()), "schema": 2}))


@pytest.mark.parametrize(
    ("minute", "rate_per_s"),
    [("", 0.0), ("10 30 60", 1.0), ("9 60 5", 0.5), ("8 60 60", 0.0)],
    ids=["nothing ended", "this minute and half of the one before", "the one before", "long ago"],
)
def test_the_rate_is_that_of_the_last_minute(minute: str, rate_per_s: float) -> None:
    """Half of the one before counts in the middle of a minute."""
    fields = {**dict.fromkeys(FIELDS, ""), "started": "1", "minute": minute}
    now_ms = 10 * MINUTE_MS + MINUTE_MS // 2
    assert progress_of("night", now_ms, fields, {}, Prices()).rate_per_s == pytest.approx(rate_per_s)


def message(**headers: Any) -> bytes:
    job = Job(
        "a",
        {"workflow": "TEXT2IMAGE", "version": "1", "algoInput": {}},
        {},
        False,
        1_790_000_000_000,
        batch="night",
    )
    written = json.loads(encode(job, "aigc"))
    written["headers"].update(headers)
    return json.dumps(written).encode()


def test_a_queued_message_is_looked_into() -> None:
    """Its jobs, with workflow and batch; one with an ETA counts as without a stamp."""
    (job,), (later,) = read(message()), read(message(eta="2026-12-01T00:00:00"))
    assert job is not None
    assert later is not None
    assert (job.job_id, job.workflow, job.batch, job.stamped) == ("a", "TEXT2IMAGE", "night", True)
    assert not later.stamped


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", message(task="another.task"), message(id=5)])
def test_a_message_that_cannot_be_read_is_none(raw: bytes) -> None:
    """It is for a worker to say what it is."""
    assert list(read(raw)) == [None]


def test_a_batch_that_nobody_queued() -> None:
    """It cannot be closed, and to wait for it takes no longer than was said."""
    with testing.capture():
        with pytest.raises(NoSuchBatch):
            batches.close("none")
        with pytest.raises(TimeoutError):
            batches.wait("none", timeout_s=0)
        with pytest.raises(InvalidPayload, match="total: must be a whole number"):
            batches.close("none", total=-1)
