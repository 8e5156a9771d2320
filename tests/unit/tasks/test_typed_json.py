"""Values that JSON has no type for, as kombu writes them."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from kombu.utils import json as kombu_json

from tasks.contract import TASK_NAME
from tasks.envelope import InvalidJob, Job, jobs_of
from tasks.exceptions import InvalidPayload
from tasks.payload import parse
from tasks.typed_json import plain
from tests.unit.tasks.samples import text_to_image

VALUES = {
    uuid.UUID("28fdf560-249a-4712-adcc-906c0346602b"): "28fdf560-249a-4712-adcc-906c0346602b",
    datetime(2026, 11, 22, 22, 31, 33, 123000, UTC): "2026-11-22T22:31:33.123000+00:00",
    datetime(2026, 11, 22, 22, 31): "2026-11-22T22:31:00",
    date(2026, 11, 22): "2026-11-22",
    time(22, 31): "22:31:00",
    Decimal("12.50"): "12.50",
    b"caf\xc3\xa9": "café",
    b"\xff": "/w==",
}


def as_read(value: Any) -> Any:
    """What a worker finds in a message that a Celery client wrote."""
    return json.loads(kombu_json.dumps(value))


def job_of(payload: Any, **kwargs: Any) -> Job | InvalidJob:
    (job,) = jobs_of(TASK_NAME, "id", as_read([payload]), as_read(kwargs), {})
    return job


@pytest.mark.parametrize(("value", "string"), VALUES.items(), ids=repr)
def test_metadata_has_strings_for_it(value: Any, string: str) -> None:
    """At any depth: a consumer in any language can read them."""
    job = job_of(text_to_image(), metadata={"a": value, "b": [{"c": [value, 1]}], "d": None})
    assert isinstance(job, Job)
    assert job.metadata == {"a": string, "b": [{"c": [string, 1]}], "d": None}


@pytest.mark.parametrize(
    "value",
    [
        {"__type__": "datetime", "__value__": "no time"},
        {"__type__": "datetime", "__value__": 7},
        {"__type__": "date", "__value__": ["2026-11-22"]},
        {"__type__": "uuid", "__value__": 7},
        {"__type__": "uuid", "__value__": {}},
        {"__type__": "uuid", "__value__": {"hex": 7}},
        {"__type__": "decimal", "__value__": "x"},
        {"__type__": "bytes", "__value__": None},
        {"__type__": "nonsense", "__value__": "x"},
        {"__type__": ["uuid"], "__value__": "x"},
        {"__type__": "uuid"},
        {"__type__": "date", "__value__": "2026-11-22", "more": 1},
        {"a": [1, {"b": "c"}]},
    ],
)
def test_what_only_looks_like_it_stays_as_it_came(value: dict[str, Any]) -> None:
    """It is the same object, to the letter."""
    metadata = {"a": value}
    assert plain(metadata) is metadata


def test_in_the_input_of_an_unlisted_workflow_it_is_refused_by_name() -> None:
    """What is sent to the vendor is sent as it came, so it has to be right as it comes."""
    algo_input = as_read({"id": uuid.uuid4(), "at": [{"x": date.today()}]})
    with pytest.raises(InvalidPayload) as caught:
        parse({"workflow": "NEW", "version": "1", "algoInput": algo_input}, unlisted=True)
    assert str(caught.value) == (
        "algoInput.id: must be a JSON value, got what Celery makes of a uuid: send a string;"
        " algoInput.at[0].x: must be a JSON value, got what Celery makes of a date: send a string"
    )
