"""The scripts about dedupe keys know the record and the keys as workers do."""

from __future__ import annotations

import re

from tasks import dedupe
from worker.store.keys import KeyNames
from worker.store.record import FIELDS, STATE_OF

KEYS = KeyNames("aigc", "aigc:results")


def test_the_script_has_the_records_own_names() -> None:
    """Its fields, and of the states those that surely cost nothing."""
    fields, of_one_relied_on = re.findall(r"'HMGET', records \.\. holder, (.+?)\)", dedupe.HOLDER)
    names = ("state", "possible_duplicate", "closed_ms", "cancel_asked_ms")
    assert re.findall(r"'(\w+)'", fields) == [FIELDS[name].stored for name in names]
    assert re.findall(r"'(\w+)'", of_one_relied_on) == [FIELDS[name].stored for name in ("state", "dedupe")]
    assert f"'HSET', records .. holder, '{FIELDS['asked_by_others'].stored}'" in dedupe.HOLDER
    free = {STATE_OF[status] for status in ("rejected", "exhausted", "cancelled")}
    assert set(re.findall(r"state == '(\w+)'", dedupe.HOLDER)) == {*free, "reserved", "waiting"}
    assert f"'HEXISTS', record, '{FIELDS['state'].stored}'" in dedupe.HOLDER
    assert f"'HSET', record, '{FIELDS['dedupe'].stored}'" in dedupe.HOLDER
    assert f"'HDEL', records .. job_id, '{FIELDS['dedupe'].stored}'" in dedupe.HOLDER


def test_the_script_is_given_the_keys_that_workers_use() -> None:
    """The records of the queue's jobs; and the keys themselves are known to be the queue's."""
    assert KEYS.is_record(f"{dedupe._records('aigc')}x")
    assert KEYS.has(dedupe.key_name("aigc", "x"))
