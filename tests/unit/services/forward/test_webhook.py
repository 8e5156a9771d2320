"""Webhooks of entries: their types, ids and bodies, which never change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from worker.services.forward.webhook import MESSAGE_MAX_BYTES, NotForwardable, webhook_of

RESULT = {
    "jobId": "j",
    "status": "submitted",
    "finishedAt": "2026-11-22T22:31:33.123Z",
    "metadata": {"a": "é"},
}
ENTRY = "1764484655000-3"


def text(**fields: Any) -> bytes:
    return json.dumps(RESULT | fields, ensure_ascii=False).encode()


def test_the_message_is_sent_as_it_was_published() -> None:
    """To the byte, with its type and the time of the job's end."""
    webhook = webhook_of("results", ENTRY, text())
    assert webhook.body.encode() == (
        b'{"type":"job.submitted","timestamp":"2026-11-22T22:31:33.123Z","data":' + text() + b"}"
    )
    assert json.loads(webhook.body)["data"] == RESULT
    assert (webhook.type, webhook.job) == ("job.submitted", "j")


def test_the_id_is_that_of_the_entry() -> None:
    """The same each time; another one for another entry, stream or text. It has no full stop."""
    ids = {
        webhook_of("results", ENTRY, text()).message_id,
        webhook_of("results", ENTRY, text()).message_id,
        webhook_of("results", ENTRY, text(status="rejected")).message_id,
        webhook_of("results", "1764484655000-4", text()).message_id,
        webhook_of("outputs", ENTRY, text(taskId="t")).message_id,
    }
    assert len(ids) == 4
    assert all(each.startswith("msg_1764484655000-") and "." not in each for each in ids)


@pytest.mark.parametrize("status", ["submitted", "rejected", "exhausted", "unknown", "cancelled", "new_one"])
def test_each_status_is_a_type_of_its_own(status: str) -> None:
    """One that a later version has as well."""
    assert webhook_of("results", ENTRY, text(status=status)).type == f"job.{status}"


@pytest.mark.parametrize("job", ["j", None])
def test_an_output_goes_with_its_job(job: str | None) -> None:
    """One without a job goes by its task."""
    webhook = webhook_of("outputs", ENTRY, text(jobId=job, taskId="t", status="succeeded"))
    assert (webhook.type, webhook.job) == ("task.succeeded", job or "task t")


@pytest.mark.parametrize("at", [None, 5, "yesterday", "2026-11-22T22:31:33Z"])
def test_without_a_time_that_of_the_publication_is_said(at: Any) -> None:
    """As the entry's id has it."""
    assert webhook_of("results", ENTRY, text(finishedAt=at)).at == "2025-11-30T06:37:35.000Z"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "no JSON"), (b"{", "no JSON"), (b"\xff{}", "no JSON"), (b"[]", "no JSON object"),
        (b"{}", "jobId must be a text, got null"), (text(jobId=""), "jobId"), (text(jobId=5), "jobId"),
        (text(status=None), "status"), (text(status="no word"), "status"), (b"[" * 100_000, "nested"),
        (text(metadata="x" * MESSAGE_MAX_BYTES), "1,000,0"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(raw: bytes, words: str) -> None:
    """In words for an operator."""
    with pytest.raises(NotForwardable, match=words):
        webhook_of("results", ENTRY, raw)
