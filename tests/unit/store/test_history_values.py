"""A sample of the totals, as it is stored and read again by this version and another."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.store.history_values import NO_LATENCY, Sample, from_json, to_json
from worker.store.metric_fields import ATTEMPT_BOUNDS_S

COUNTS = st.dictionaries(st.sampled_from(["submitted", "exhausted", "unknown"]), st.integers(1, 2**40))
SAMPLES = st.builds(
    Sample,
    at_s=st.just(1.5),
    jobs=COUNTS,
    attempts=COUNTS,
    latency=st.tuples(*[st.integers(0, 2**40)] * len(NO_LATENCY)),
    spent=st.integers(0, 2**40).map(lambda cents: cents / 100),
    queued=st.integers(0, 2**40),
    delayed=st.integers(0, 2**40),
    in_flight=st.integers(0, 2**40),
    held=st.integers(0, 2**40),
    oldest_s=st.none() | st.integers(0, 10**9).map(lambda ms: ms / 1000),
)


@given(SAMPLES)
def test_a_sample_is_read_as_it_was_stored(sample: Sample) -> None:
    """Nothing is lost on the way."""
    assert from_json(1.5, to_json(sample)) == sample


def test_the_names_that_are_stored_stay() -> None:
    """Workers of other versions read them, and write them."""
    sample = Sample(0, {"submitted": 3}, {"accepted": 4}, (1, *NO_LATENCY[1:-1], 2), 0.5, 5, 6, 7, 8, 9.0)
    stored = '{"j":{"submitted":3},"a":{"accepted":4},"l":{"0.05":1,"inf":2},"s":0.5,"q":5,"d":6,"f":7,"h":8'
    assert to_json(sample) == f'{stored},"o":9.0}}'


def test_a_bound_and_a_field_of_another_version_are_taken() -> None:
    """What took up to 0.7 s took no longer than our next bound, 1 s."""
    stored = json.loads(to_json(Sample(0, {}, {}, NO_LATENCY, 0.0, 0, 0, 0, 0, None)))
    found = from_json(0, json.dumps(stored | {"l": {"0.7": 5}, "new": [1]}))
    assert found.latency[ATTEMPT_BOUNDS_S.index(1.0)] == 5


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"l":3}', '{"l":{"often":3}}'])
def test_what_is_no_sample_is_told(text: str) -> None:
    """Whoever reads the history passes it over."""
    with pytest.raises(ValueError, match="not a sample"):
        from_json(0, text)
