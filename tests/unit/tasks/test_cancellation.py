"""The script that cancels a job knows the record and the keys as workers do."""

from __future__ import annotations

import re
from inspect import getsource

import pytest

import tasks
from tasks import cancel_many, cancellation, dedupe
from tasks.batch_store import scripts as batch_scripts
from worker.store.keys import KeyNames
from worker.store.record import FIELDS, OPEN_STATES, STATE_OF

SCRIPT = cancellation._CANCEL


def test_the_script_has_the_records_own_names() -> None:
    """Its fields, and each state in which nothing may have been bought."""
    (read,) = re.findall(r"'HMGET', record, '(\w+)', '(\w+)'", SCRIPT)
    assert read == (FIELDS["state"].stored, FIELDS["cancel_asked_ms"].stored)
    assert set(re.findall(r"'HSET', record, '(\w+)'", SCRIPT)) == {FIELDS["cancel_asked_ms"].stored}
    assert set(re.findall(r"state == '(\w+)'", SCRIPT)) == {
        *OPEN_STATES, *STATE_OF.values(),
    } - {"accepted", "unknown"}  # fmt: skip


def test_a_job_that_was_queued_is_told_by_fields_of_its_record() -> None:
    """Those that its producer or a worker writes; a cancellation is no sign that there is a job."""
    names = ("state", "enqueued_ms", "backlog_digest", "dedupe", "batch")
    assert [FIELDS[name].stored for name in names] == list(cancel_many._TRACES)


def test_what_producers_read_of_a_record_is_called_as_workers_call_it() -> None:
    """By each of their scripts, and where they ask for a field by itself."""
    fields = {each.stored: name for name, each in FIELDS.items()}
    of_dedupe = {fields[letter] for letter in re.findall(r"'([a-z]2?)'", getsource(dedupe))}
    assert of_dedupe == {
        *("state", "possible_duplicate", "closed_ms", "cancel_asked_ms", "dedupe", "asked_by_others"),
    }
    (closed,) = re.findall(r"'HGET', queue .. ':job:' .. ARGV\[2\], '(\w+)'", getsource(batch_scripts))
    assert closed == cancel_many._CLOSED_MS == FIELDS["closed_ms"].stored


def test_the_script_is_given_the_keys_that_workers_use() -> None:
    """The job's record, and the set of jobs that wait."""
    given: list[object] = []

    class Client:
        def register_script(self, _: str) -> object:
            def run(keys: list[str], args: list[object]) -> list[int]:
                given.extend(keys)
                return [1, 0, 0]

            return run

    keys = KeyNames("q", "r")
    assert cancellation.cancel_in(Client(), "q", "a-job")
    assert given == [keys.delayed, keys.job("a-job")]


@pytest.mark.parametrize("job_id", ["", "x" * 201, "a\nb"])
def test_an_id_that_no_job_can_have_is_refused(job_id: str) -> None:
    """Before Redis is asked."""
    with pytest.raises(tasks.InvalidPayload, match="id: must be"):
        tasks.cancel(job_id)
