"""A pipeline among fakes."""

from __future__ import annotations

import pytest

from tests.unit.processing.fakes import Clock, Stage


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The pipeline's clocks, which stand still."""
    return Clock().installed(monkeypatch)


@pytest.fixture
def stage(clock: Clock) -> Stage:
    """A pipeline for 8 jobs at a time, of a worker that the vendor has answered."""
    return Stage(clock)
