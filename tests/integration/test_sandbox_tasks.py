"""The sandbox's tasks over real sockets: how they live, what queries of them meet, and what they leave."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from typing import Any

import pytest
import requests

from tests.integration.sandbox_client import KEYS, Client, wait_for
from worker.dev.sandbox import Config, running
from worker.dev.sandbox.life import Life
from worker.domain.query import (
    Failed,
    Pending,
    QueryOutcome,
    Refused,
    Succeeded,
    TaskUnknown,
    Throttled,
    Unanswered,
)
from worker.domain.query_signing import DEFAULT_FORM, FORMS, QueryForm
from worker.vendor import QueryClient

AT_ONCE = "[[task_waiting]][[task_running]]"
LONG = "[[task_waiting(9999)]]"


@pytest.fixture
def asking(sandbox: Client) -> Iterator[QueryClient]:
    with closing(client_of(sandbox)) as made:
        yield made


def client_of(sandbox: Client, form: QueryForm = DEFAULT_FORM, read_s: float = 10.0) -> QueryClient:
    url = f"http://{sandbox.address}"
    return QueryClient(url, KEYS.access_key, KEYS.secret_key, form, read_timeout_s=read_s)


def submitted(sandbox: Client, rules: str) -> str:
    """The id of a task that was accepted with these rules in its prompt."""
    return str(sandbox.vendor(f"a cat {uuid.uuid4()} {rules}")["model"])


def fetched(url: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=60, allow_redirects=False)


def succeeded(outcome: QueryOutcome) -> str:
    assert isinstance(outcome, Succeeded)
    return outcome.url


def test_a_task_waits_runs_and_leaves_a_file(sandbox: Client, asking: QueryClient) -> None:
    """Each status in its turn; the file is the one that the control API tells the hash of."""
    task_id = submitted(sandbox, "[[task_waiting(0.3)]][[task_running(0.3)]]")
    seen: list[QueryOutcome] = []

    def has_ended() -> bool:
        seen.append(asking.ask(task_id))
        return isinstance(seen[-1], Succeeded)

    wait_for(has_ended)
    order = [Pending("WAITING", True), Pending("RUNNING", True), seen[-1]]
    assert [each for number, each in enumerate(seen) if each not in seen[:number]] == [
        each for each in order if each in seen
    ]
    answer = fetched(succeeded(seen[-1]))
    told = sandbox.call(f"/_sandbox/tasks/{task_id}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
    assert told["sha256"] == sha256(answer.content).hexdigest()
    assert (told["status"], told["workflow"], told["bytes"]) == ("SUCCESS", "TEXT2IMAGE", len(answer.content))
    assert asking.ask(task_id) == seen[-1]


@pytest.mark.parametrize("rule", ["aigc_error", "lw_request_error", "lw_result_error", "timeout", "fc_error",
                                  "unknown_error", "submit_error"])  # fmt: skip
def test_a_task_fails_as_ordered(sandbox: Client, asking: QueryClient, rule: str) -> None:
    """There is no file then."""
    task_id = submitted(sandbox, f"{AT_ONCE} [[task_{rule}]]")
    assert asking.ask(task_id) == Failed(rule.upper())
    told = sandbox.call(f"/_sandbox/tasks/{task_id}")
    assert (told["ending"], told["sha256"]) == (rule.upper(), None)


def test_a_task_that_has_not_ended_tells_no_url(sandbox: Client) -> None:
    """And a link that somebody made up leads nowhere."""
    task_id = submitted(sandbox, LONG)
    assert sandbox.query(task_id)["model"] == {"taskId": task_id, "status": "WAITING", "ossPath": None}
    url = f"http://{sandbox.address}/_sandbox/output/{task_id}.png"
    assert fetched(f"{url}?Expires=9999999999&Signature=x").status_code == 403


def test_a_link_expires(sandbox: Client, asking: QueryClient) -> None:
    """From then on it is forbidden, as object stores have it; the same link is told all the same."""
    url = succeeded(asking.ask(submitted(sandbox, f"{AT_ONCE} [[task_link_life]]")))
    answer = fetched(url)
    assert (answer.status_code, b"<Code>AccessDenied</Code>" in answer.content) == (403, True)
    assert "Expires=" in url
    assert url.startswith("http://")


def test_rules_for_everything_say_how_tasks_live(sandbox: Client, asking: QueryClient) -> None:
    """A share of tasks fails; what was accepted before the rule lives as it did."""
    before = submitted(sandbox, LONG)
    sandbox.call("/_sandbox/rules", {"rules": ["task_waiting", "task_running", "task_fc_error:50%"]})
    tasks = [submitted(sandbox, "") for _ in range(40)]
    sandbox.call("/_sandbox/rules", {"rules": []})
    ended = [asking.ask(task_id) for task_id in tasks]
    failed = ended.count(Failed("FC_ERROR"))
    assert 0 < failed < 40
    assert sum(isinstance(each, Succeeded) for each in ended) == 40 - failed
    assert asking.ask(before) == Pending("WAITING", True)
    shown = {each["taskId"]: each for each in sandbox.call("/_sandbox/tasks")}
    assert len({shown[task_id]["sha256"] for task_id in tasks} - {None}) == 40 - failed


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ("sys_error", Unanswered),
        ("sys_error_500", Unanswered),
        ("param_error", TaskUnknown),
        ("colon", TaskUnknown),
        ("auth_error", Refused),
        ("not_found", Refused),
        ("unknown_code", TaskUnknown),
        ("lower_case", TaskUnknown),
        ("status(404)", Refused),
        ("throttle(3)", Throttled),
        ("busy", Throttled),
        ("html_502", Unanswered),
        ("html_504", Unanswered),
        ("redirect", Refused),
        ("reset", Unanswered),
        ("garbage", Unanswered),
        ("cut", Unanswered),
        ("huge(1)", Unanswered),
        ("hang(0.01)", Unanswered),
        ("other_task", Unanswered),
        ("odd_status", Pending),
        ("no_url", Unanswered),
        ("no_model", Unanswered),
        ("wrong_types", Unanswered),
        ("slow(1)", Pending),
        ("drip(0.001)", Pending),
    ],
)
def test_a_query_meets_what_a_rule_says_and_the_next_one_is_answered(
    sandbox: Client, asking: QueryClient, rule: str, outcome: type
) -> None:
    """Each fault once; the task itself goes on as if nothing had been."""
    task_id = submitted(sandbox, f"{LONG} [[query_{rule}*1]]")
    first = asking.ask(task_id)
    assert isinstance(first, outcome)
    assert first != Pending("WAITING", True) or rule.startswith(("slow", "drip"))
    assert asking.ask(task_id) == Pending("WAITING", True)
    assert sandbox.call("/_sandbox/queries")["by_outcome"] == {rule.partition("(")[0]: 1, "answered": 1}
    assert sandbox.stats()["redirects_followed"] == 0


def test_counted_rules_count_by_the_task(sandbox: Client, asking: QueryClient) -> None:
    """The first query of each task meets it."""
    sandbox.call("/_sandbox/rules", {"rules": ["query_throttle(2)*1"]})
    tasks = [submitted(sandbox, LONG), submitted(sandbox, LONG)]
    assert [asking.ask(task_id) for task_id in tasks] == [Throttled(2.0)] * 2
    assert [asking.ask(task_id) for task_id in tasks] == [Pending("WAITING", True)] * 2


@pytest.mark.parametrize(
    ("rule", "status"),
    [("status(404)", 404), ("throttle(3)", 429), ("busy", 503), ("html_502", 502), ("redirect", 302)],
)
def test_a_file_meets_what_a_rule_says(sandbox: Client, asking: QueryClient, rule: str, status: int) -> None:
    """And is there afterwards."""
    url = succeeded(asking.ask(submitted(sandbox, f"{AT_ONCE} [[file_{rule}*1]]")))
    assert [fetched(url).status_code, fetched(url).status_code] == [status, 200]


def test_a_file_that_is_none_or_half_or_endless(sandbox: Client, asking: QueryClient) -> None:
    """HTML in its place, a connection that ends within it, megabytes behind it."""
    url = succeeded(
        asking.ask(submitted(sandbox, f"{AT_ONCE} [[file_garbage*1]][[file_cut*1]][[file_huge(1)*1]]"))
    )
    assert fetched(url).content.startswith(b"<html>")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        fetched(url)
    huge, right = fetched(url).content, fetched(url).content
    assert huge.startswith(right)
    assert len(huge) > 1_000_000


@pytest.mark.parametrize("demanded", FORMS, ids=str)
def test_a_form_is_demanded(demanded: QueryForm) -> None:
    """A query in another one is refused as the vendor does it, and the right one is answered."""
    with running(Config(keys=[KEYS], query_form=demanded, life=Life(9999.0))) as url:
        sandbox = Client(url)
        task_id = sandbox.vendor("a cat")["model"]
        for form in FORMS:
            with closing(client_of(sandbox, form)) as asking:
                outcome = asking.ask(task_id)
            if form == demanded:
                assert outcome == Pending("WAITING", True)
            else:
                assert isinstance(outcome, Refused)
                assert outcome.code == "INTCNN_COMMON_AUTH_CHECK_ERROR"
        assert sandbox.stats()["queries_by_outcome"] == {"auth_refused": len(FORMS) - 1, "answered": 1}


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-Sign": "bm90IGl0"},
        {"X-Request-Sign": ""},
        {"X-Access-Key": "other"},
        {"X-Request-Timestamp": "1741855077857"},
        {"x-acs-request-id": "1"},
    ],
    ids=str,
)
def test_a_query_with_a_wrong_header_is_refused(sandbox: Client, headers: dict[str, str]) -> None:
    """Before it is told whether there is such a task."""
    answers: list[Any] = [sandbox.query(task_id, **headers) for task_id in (submitted(sandbox, LONG), "none")]
    assert [each["errorCode"] for each in answers] == ["INTCNN_COMMON_AUTH_CHECK_ERROR"] * 2


def test_a_request_id_is_good_for_one_query(sandbox: Client) -> None:
    """A repeated one is refused as a replay; a forged query does not use it up."""
    task_id, same = submitted(sandbox, LONG), {"x-acs-request-id": str(uuid.uuid4())}
    assert not sandbox.query(task_id, **same, **{"X-Request-Sign": "forged"})["success"]
    assert sandbox.query(task_id, **same)["success"]
    assert sandbox.query(task_id, **same)["errorCode"] == "INTCNN_COMMON_AUTH_CHECK_ERROR"


def test_queries_are_counted(sandbox: Client, asking: QueryClient) -> None:
    """All of them, whatever they were answered, and by the second."""
    for task_id in (submitted(sandbox, LONG), "none", "none"):
        asking.ask(task_id)
    counted = sandbox.call("/_sandbox/queries?window_s=60")
    assert counted["by_outcome"] == {"answered": 1, "param_refused": 2}
    assert counted["queries"] == counted["busiest_window"] == sum(counted["per_second"].values()) == 3
    assert sandbox.call("/_sandbox/queries?window_s=x")["error"]
    assert sandbox.stats()["max_in_flight"] == 1


def test_reset_forgets_tasks_and_queries(sandbox: Client, asking: QueryClient) -> None:
    """The task is not known any more, nor is its link."""
    url = succeeded(asking.ask(task_id := submitted(sandbox, AT_ONCE)))
    sandbox.call("/_sandbox/reset", {})
    assert sandbox.call("/_sandbox/queries")["queries"] == 0
    assert isinstance(asking.ask(task_id), TaskUnknown)
    assert fetched(url).status_code == 404
    assert sandbox.call(f"/_sandbox/tasks/{task_id}")["error"]
