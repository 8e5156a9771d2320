"""All errors that `tasks` raises on purpose have one root, and stay what they were."""

from __future__ import annotations

import pickle

import pytest

import tasks


@pytest.mark.parametrize(
    ("error", "also"),
    [
        (tasks.InvalidPayload([("algoInput.seed", "must be an integer")]), ValueError),
        (tasks.SettingsError(["AIGC_QUEUE must be a name", "AIGC_RESULTS must be one"]), ValueError),
        (tasks.BrokerUnavailable("Redis is not available"), ConnectionError),
    ],
)
def test_one_root(error: tasks.AigcError, also: type[Exception]) -> None:
    """Caught as AigcError and as the builtin class of its kind; it survives a process pool."""
    assert isinstance(error, tasks.AigcError)
    assert isinstance(error, also)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
