"""Decisions on the operators' page: asked first, done to what was shown, recorded with who."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.conditions import PATIENCE_S
from tests.integration.desk import KEYS, Desk
from tests.integration.ui_service import Start, services
from tests.integration.ui_visitor import Visitor, text_of
from tests.redis_server import RedisServer
from worker.store.audit import EVERYTHING

TOKEN = "a-token-of-some-length"
PRICES = {"AIGC_PRICE__TEXT2IMAGE": "0.04", "AIGC_PRICE__IMAGE2VIDEO": "0.35", "AIGC_CURRENCY": "USD"}


@pytest.fixture
def start(redis_server: RedisServer, tmp_path: Path) -> Iterator[Start]:
    with services(redis_server.url, tmp_path, **PRICES) as start:
        yield start


@pytest.fixture
def visitor(start: Start) -> Visitor:
    made = Visitor(start())
    made.get()
    return made


def test_a_held_job_is_accepted(desk: Desk, visitor: Visitor) -> None:
    """Its result becomes submitted, and what was spent grows as the question said."""
    desk.add_dead_letter("held")
    asked, done = visitor.decide("accept", "held", task_id="8d0d3c")
    assert "Accept the job as task 8d0d3c?" in text_of(asked)
    assert "what was spent grows by: 0.04 USD." in text_of(asked)
    assert done.url.startswith(f"{visitor.url}/?done=")
    assert "1 job was settled as submitted." in text_of(done)
    (result,) = desk.results_of("held")[1:]
    assert (result.status, result.task_id) == ("submitted", "8d0d3c")
    (decision,) = desk.decisions()
    assert (decision["what"], decision["task"], decision["who"]) == ("accept", "8d0d3c", "ui 127.0.0.1")
    spent = [value for name, value in desk.redis.hgetall(KEYS.metrics).items() if name.startswith(b"spent|")]
    assert spent == [b"40000"]


def test_a_retry_says_what_it_costs_and_then_queues(desk: Desk, visitor: Visitor) -> None:
    """Nothing is done before it is confirmed, nothing by looking at the question, and nothing twice."""
    for job in ("a", "b"):
        desk.add_dead_letter(job, "unknown")
    desk.add_dead_letter("c", "exhausted", workflow="IMAGE2VIDEO")
    asked = visitor.post("/decisions", [("deed", "retry"), *(("job", job) for job in "abc")])
    told = text_of(asked)
    assert "Retry 3 jobs?" in told
    assert "that costs: 0.43 USD." in told
    assert "The 2 unknown jobs may each be paid for a second time." in told
    visitor.get(asked.url)
    assert desk.queued() == []
    assert "3 jobs were queued again." in text_of(visitor.post(asked.url))
    assert sorted(desk.queued()) == ["a", "b", "c"]
    for again in (visitor.post(asked.url), visitor.get(asked.url)):
        assert "3 jobs were queued again." in text_of(again)
    assert sorted(desk.queued()) == ["a", "b", "c"]


@pytest.mark.parametrize("choice", [{"job": "kept"}, {"all": "1"}])
def test_a_retry_says_of_how_many_the_message_was_not_kept(
    desk: Desk, visitor: Visitor, choice: dict[str, str]
) -> None:
    """Before it is confirmed: they are not bought, and stay."""
    for name in ("kept", "lost-1", "lost-2"):
        desk.add_dead_letter(name, "exhausted")
    desk.redis.hset(KEYS.dead_letter_messages, "lost-1", "1|")
    desk.redis.hdel(KEYS.dead_letter_messages, "lost-2")
    lost = [("job", "lost-1"), ("job", "lost-2")]
    asked = visitor.post("/decisions", [("deed", "retry"), *choice.items(), *lost])
    told = text_of(asked)
    assert "Retry 3 jobs?" in told
    assert "Of 2 jobs the message was not kept: they are left as they are, and cost nothing." in told
    assert "that costs: 0.04 USD." in told
    told = text_of(visitor.post(asked.url))
    assert "1 of 3 jobs were queued again." in told
    assert desk.queued() == ["kept"]
    assert desk.dead_letters.count()["exhausted"] == 2


def test_who_clicks_twice_sees_what_the_first_click_did(desk: Desk, visitor: Visitor) -> None:
    """Though the second one comes while the first is still at work."""
    for number in range(100):
        desk.add_dead_letter(f"e-{number}", "exhausted")
    asked = visitor.post("/decisions", {"deed": "discard", "all": "1", "state": "exhausted"})
    with ThreadPoolExecutor() as pool:
        told = [text_of(answer) for answer in pool.map(visitor.post, [asked.url] * 4)]
    assert all("100 jobs were discarded." in words for words in told)
    assert len(desk.decisions()) == 100


def test_a_decision_that_redis_refuses_amid_it_is_finished(desk: Desk, visitor: Visitor) -> None:
    """The question stays open for the jobs that are left, and the report is of all."""
    for job in ("a", "b", "c"):
        desk.add_dead_letter(job)
    asked = visitor.post("/decisions", [("deed", "discard"), *(("job", job) for job in "abc")])
    desk.redis.rename(KEYS.job("b"), "aside")
    desk.redis.set(KEYS.job("b"), "of another type")
    assert visitor.post(asked.url).status_code == 503
    assert [decision["job"] for decision in desk.decisions()] == ["a"]
    told = text_of(visitor.get(asked.url))
    assert "Discard 2 jobs?" in told
    assert "1 job was decided about before. These are left." in told
    desk.redis.rename("aside", KEYS.job("b"))
    told = text_of(visitor.post(asked.url))
    assert "3 jobs were discarded." in told, told
    assert " of 3 jobs were" not in told, told
    assert sorted(decision["job"] for decision in desk.decisions()) == ["a", "b", "c"]


def test_a_job_that_has_changed_since_is_left_as_it_is(desk: Desk, visitor: Visitor) -> None:
    """Decided by somebody else meanwhile, or held anew after another attempt: it is not what was shown."""
    jobs = ("same", "gone", "anew")
    for job in jobs:
        desk.add_dead_letter(job)
    asked = visitor.post("/decisions", [("deed", "discard"), *(("job", job) for job in jobs)])
    assert desk.aigc("failed", "discard", "gone", "--yes").code == 0
    desk.redis.delete(KEYS.job("anew"))
    desk.add_dead_letter("anew", code="AIGC_CONNECTION_LOST")
    told = text_of(visitor.post(asked.url))
    assert "1 of 3 jobs" in told
    assert told.count("left as it is: it has changed, or was decided, since it was shown") == 2
    assert desk.state("anew") == "unknown"
    assert [decision["job"] for decision in desk.decisions()] == ["gone", "same"]


def test_all_that_pass_a_filter_are_decided(desk: Desk, visitor: Visitor) -> None:
    """Those of the filter, though they are on no page that was seen; others stay."""
    for number in range(60):
        desk.add_dead_letter(f"e-{number}", "exhausted", ago_s=number)
    desk.add_dead_letter("u", "unknown")
    asked = visitor.post("/decisions", {"deed": "discard", "all": "1", "state": "exhausted"})
    assert "Discard 60 jobs?" in text_of(asked)
    assert "60 jobs were discarded." in text_of(visitor.post(asked.url))
    assert desk.dead_letters.count() == {"unknown": 1, "exhausted": 0, "rejected": 0}


def test_a_pause_is_asked_for_and_ended(desk: Desk, visitor: Visitor) -> None:
    """Of everything, or of a workflow; a name that was never seen is doubted."""
    asked, done = visitor.decide("pause", workflow="IMAGE2VIDE")
    assert "Pause IMAGE2VIDE?" in text_of(asked)
    assert "did you mean IMAGE2VIDEO?" in text_of(done)
    asked, done = visitor.decide("pause", workflow="")
    assert "Everything is paused." in text_of(done)
    assert desk.redis.smembers(KEYS.paused) == {b"IMAGE2VIDE", EVERYTHING.encode()}
    asked, done = visitor.decide("resume", workflow="")
    assert "Everything goes on; still paused: IMAGE2VIDE." in text_of(done)
    assert [decision["what"] for decision in desk.decisions()] == ["pause", "pause", "resume"]


@pytest.mark.parametrize("name", [" ", " IMAGE2VIDEO", "x" * 150])
def test_a_pause_is_ended_by_its_very_name(desk: Desk, visitor: Visitor, name: str) -> None:
    """Whatever an earlier version took for one; another pause is left as it is."""
    desk.redis.sadd(KEYS.paused, name, "IMAGE2VIDEO", EVERYTHING)
    visitor.decide("resume", workflow=name)
    assert desk.redis.smembers(KEYS.paused) == {b"IMAGE2VIDEO", EVERYTHING.encode()}


def test_who_has_logged_in_is_written_down(desk: Desk, start: Start) -> None:
    """By the name that they gave."""
    desk.add_dead_letter("held")
    visitor = Visitor(start(AIGC_UI_TOKEN=TOKEN))
    visitor.log_in(TOKEN, "Ann <ops>")
    visitor.decide("discard", "held")
    assert [decision["who"] for decision in desk.decisions()] == ["Ann <ops>"]


@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_form_of_another_site_decides_nothing(desk: Desk, start: Start, token: str | None) -> None:
    """Nor one without the session's token, nor one of another session."""
    desk.add_dead_letter("held")
    ui = start(**({"AIGC_UI_TOKEN": token} if token else {}))
    visitor, other = Visitor(ui), Visitor(ui)
    for each in (visitor, other):
        if token:
            each.log_in(token)
        each.get()
    fields = [("deed", "discard"), ("job", "held")]
    asked = visitor.post("/decisions", fields)
    for path, sent in (("/decisions", fields), (asked.url, [])):
        assert visitor.post(path, [*sent, ("form_token", "")]).status_code == 403
        assert visitor.post(path, [*sent, ("form_token", other.token)]).status_code == 403
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert visitor.post(path, sent, headers=headers).status_code == 403
        without = requests.post(f"{ui.url}/decisions", data=fields, timeout=PATIENCE_S)
        assert without.status_code in (401, 403)
    assert other.post(asked.url).status_code == 409
    assert desk.state("held") == "unknown"
    assert desk.decisions() == []


def test_what_cannot_be_decided_is_named(desk: Desk, visitor: Visitor) -> None:
    """The field, and what it must be; nothing chosen, gone, or not held."""
    desk.add_dead_letter("held")
    desk.add_dead_letter("ended", "exhausted")
    for fields, words in (
        ({"deed": "burn", "job": "held"}, "deed: must be"),
        ({"deed": "retry"}, "No job was chosen"),
        ({"deed": "accept", "job": "held", "task_id": "  "}, "task_id: must be"),
        ({"deed": "retry", "all": "1", "state": "lost"}, "state: must be"),
        ({"deed": "pause", "workflow": "*"}, "workflow: must be"),
        ({"deed": "resume", "workflow": "*"}, "workflow: must be"),
        ({"deed": "pause", "workflow": "x" * 101}, "workflow: must be"),
    ):
        answer = visitor.post("/decisions", fields)
        assert (answer.status_code, words in text_of(answer)) == (400, True), fields
        visitor.get()
    for deed, job in (("retry", "none"), ("accept", "ended")):
        answer = visitor.post("/decisions", {"deed": deed, "job": job, "task_id": "t"})
        assert "There is nothing to decide about." in text_of(answer)
    assert visitor.get("/decisions/none").status_code == 404
