"""What is told of outputs: a line each; and Sentry hears of lost tasks and refused queries only."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tasks.contract import OutputStatus
from tasks.output import Output
from worker import observability
from worker.domain.query import Refused
from worker.observability.following import FollowingReporter


class Sentry:
    def __init__(self) -> None:
        self.reports: list[str] = []

    def report(self, message: str, **_: Any) -> None:
        self.reports.append(message)


@pytest.fixture
def sentry(monkeypatch: pytest.MonkeyPatch) -> Sentry:
    made = Sentry()
    monkeypatch.setattr(observability, "_sentry", made)
    return made


def output(status: OutputStatus) -> Output:
    url = "http://files.example/a.png?Signature=secret"
    return Output("job", "task", status, "RUNNING", url, None, None, None, None, "W", "1", "now")


@pytest.mark.parametrize(
    ("status", "reason", "level", "reports"),
    [
        ("succeeded", "", logging.INFO, []),
        ("succeeded", "the store is full", logging.WARNING, []),
        ("failed", "", logging.WARNING, []),
        ("lost", "", logging.ERROR, ["lost W"]),
    ],
)
def test_an_output_is_a_line(
    sentry: Sentry, caplog: pytest.LogCaptureFixture, status: OutputStatus, reason: str, level: int,
    reports: list[str],
) -> None:  # fmt: skip
    """With task and job, without its link, which is a secret for as long as it is valid."""
    with caplog.at_level(logging.INFO):
        FollowingReporter().output(output(status), 3, reason)
    (record,) = caplog.records
    fields = record.fields  # type: ignore[attr-defined]
    assert (record.levelno, record.getMessage()) == (level, f"output {status}")
    assert (fields["task"], fields["job"], fields["asked"]) == ("task", "job", 3)
    assert "secret" not in str(fields)
    assert sentry.reports == reports


def test_refused_queries_are_critical_and_reported(sentry: Sentry, caplog: pytest.LogCaptureFixture) -> None:
    """With what to check."""
    FollowingReporter().queries_refused(Refused("AUTH", "no"))
    (record,) = caplog.records
    assert record.levelno == logging.CRITICAL
    assert "AIGC_QUERY_SIGNATURE" in record.getMessage()
    assert sentry.reports == ["queries_refused AUTH"]
