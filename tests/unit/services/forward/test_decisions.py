"""What answers mean, when a message goes again, and when an endpoint is out of order."""

from __future__ import annotations

from itertools import pairwise

import pytest

from worker.services.forward.answers import RETRY_AFTER_MOST_S, WebhookOutcome, of_response
from worker.services.forward.health import OUTAGE_AFTER, PROBE_MOST_MS, TELL_AFTER_MS, Health
from worker.services.forward.schedule import LONGEST_GAP_MS, RETRY_FOR_MS, next_attempt_ms


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(status, WebhookOutcome.DELIVERED) for status in (200, 201, 202, 204, 299)]
    + [
        (status, WebhookOutcome.FAILED)
        for status in (100, 301, 302, 307, 308, 400, 401, 404, 409, 429, 500, 503)
    ]
    + [(410, WebhookOutcome.GONE)],
)
def test_only_2xx_is_a_yes_and_only_410_an_end(status: int, outcome: WebhookOutcome) -> None:
    """All else is tried again, a redirect among it."""
    assert of_response(status, None).outcome is outcome


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [(429, "30", 30), (503, " 5 ", 5), (503, "999999", RETRY_AFTER_MOST_S), (500, "30", None),
     (429, None, None), (429, "soon", None), (429, "-1", None), (503, "Wed, 21 Oct 2026 07:28:00 GMT", None)],
)  # fmt: skip
def test_an_endpoint_may_ask_to_be_left_alone(status: int, header: str | None, seconds: float | None) -> None:
    """For an hour at most."""
    assert of_response(status, header).retry_after_s == seconds


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_gaps_grow_and_end_after_a_day(jitter: float) -> None:
    """First 5 s, then twice as long, up to two hours; the last attempt is a day after the first one."""
    times, due = [0], next_attempt_ms(0, 0, jitter)
    while due is not None:
        times.append(due)
        due = next_attempt_ms(0, due, jitter)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert (times[-1], len(times) in range(20, 30)) == (RETRY_FOR_MS, True)
    assert gaps[0] in (4500, 5000)
    assert all(later > earlier for earlier, later in pairwise(gaps[1:10]))
    assert max(gaps) <= LONGEST_GAP_MS


def test_probes_bring_the_end_no_nearer() -> None:
    """A thousand attempts within an hour leave the message the rest of its day."""
    assert next_attempt_ms(0, 3_600_000, 0.0) == 7_200_000


def test_an_outage_begins_with_some_messages_in_a_row() -> None:
    """Not with one that is refused again and again, nor where another one was taken between."""
    health = Health()
    for _ in range(20):
        health.failed(0, "one", None)
    assert not health.is_outage
    for number in range(OUTAGE_AFTER):
        health.failed(0, str(number), None)
    assert health.is_outage
    assert not health.may_send(0, 0)
    assert health.may_send(1000, 0)
    assert not health.may_send(1000, 1)
    assert health.succeeded() == 0
    assert not health.is_outage
    assert health.may_send(1000, 100)


def test_probes_become_rarer_and_those_that_were_in_flight_do_not_count() -> None:
    """From half a second to ten."""
    health = Health()
    for number in range(40):
        health.failed(0, str(number), None)
    assert health.wait_ms(0) == 500
    now, waits = 0, []
    for _ in range(10):
        now += health.wait_ms(now)
        health.failed(now, "probe", None)
        waits.append(health.wait_ms(now))
    assert waits == [1000, 2000, 4000, 8000, *[PROBE_MOST_MS] * 6]


def test_an_endpoint_that_asks_for_it_is_left_alone() -> None:
    """Whether or not it is out of order."""
    health = Health()
    health.failed(0, "one", 30.0)
    assert not health.may_send(29_999, 0)
    assert health.may_send(30_000, 5)


def test_people_are_told_once_of_a_long_outage() -> None:
    """And of the next one again; not twice of one that a process before this one has told of."""
    health = Health()
    health.failed(0, "one", None)
    told = [health.to_tell(at) for at in (0, TELL_AFTER_MS - 1, TELL_AFTER_MS, 2 * TELL_AFTER_MS)]
    assert told == [False, False, True, False]
    assert (health.succeeded(), health.succeeded()) == (0, None)
    health.failed(5, "one", None)
    assert health.to_tell(5 + TELL_AFTER_MS)
    assert not Health(0, told=True).to_tell(TELL_AFTER_MS)
