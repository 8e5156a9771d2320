"""Callbacks have the queue of the shop's own app written into them, or are refused before they are queued."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group

import tasks
from tasks.callbacks import addressed

OURS = Celery("ours", set_as_current=False)
QUEUE = "aigc"


@pytest.fixture
def shop() -> Iterator[Celery]:
    with Celery("shop", set_as_current=False) as app:
        app.conf.update(task_default_queue="shop", task_routes={"slow": {"queue": "slow"}})
        yield app


def queues(signature: Any) -> list[Any]:
    """The queues of all tasks that a signature is made of."""
    kwargs = signature.get("kwargs") or {}
    header = kwargs.get("header") or []
    parts = [*kwargs.get("tasks", []), *([header] if isinstance(header, dict) else header)]
    parts += [kwargs["body"]] if kwargs.get("body") else []
    return [queue for part in parts for queue in queues(part)] or [signature["options"].get("queue")]


def test_a_callback_goes_where_its_app_would_send_it(shop: Celery) -> None:
    """By the app's routes and default; a queue of its own stays."""
    link = [shop.signature("a"), shop.signature("slow"), shop.signature("b", queue="own")]
    found = addressed({"link": link, "countdown": 3}, OURS, QUEUE)
    assert [queues(each) for each in found["link"]] == [["shop"], ["slow"], ["own"]]
    assert found["countdown"] == 3


def test_what_was_given_stays_as_it_is(shop: Celery) -> None:
    """Neither a signature nor a dict of the caller's is written to."""
    given = [shop.signature("a"), {"task": "b", "args": [], "kwargs": {}, "options": {}}]
    addressed({"link": given, "chain": given}, OURS, QUEUE)
    assert [each["options"] for each in given] == [{}, {}]


@pytest.mark.parametrize("option", ["link", "link_error", "chain"])
def test_canvases_are_addressed_within(shop: Celery, option: str) -> None:
    """Each task of a chain, a group or a chord, and the callbacks of a callback."""
    a, slow = shop.signature("a"), shop.signature("slow")
    canvases = [
        chain(a, slow, app=shop), group(a, slow, app=shop), chord([a, slow], a, app=shop),
        shop.signature("b", link=[slow]),
    ]  # fmt: skip
    found = addressed({option: canvases}, OURS, QUEUE)[option]
    assert [queues(each) for each in found] == [
        ["shop", "slow"], ["shop", "slow"], ["shop", "slow", "shop"], ["shop"],
    ]  # fmt: skip
    assert queues(found[3]["options"]["link"][0]) == ["slow"]


def test_a_job_as_a_callback_goes_into_the_jobs_queue() -> None:
    """One of ours may follow another."""
    ours = OURS.signature("tasks.submit_workflow", args=({},))
    assert queues(addressed({"link": ours}, OURS, QUEUE)["link"][0]) == [QUEUE]


@pytest.mark.parametrize("queue", [None, "aigc", "aigc.high"])
def test_a_callback_in_the_jobs_queue_is_refused(shop: Celery, queue: str | None) -> None:
    """A worker would find it malformed."""
    shop.conf.task_default_queue = QUEUE
    with pytest.raises(ValueError, match=r"shop\.done would go to aigc, the jobs' queue"):
        addressed({"link": shop.signature("shop.done", **({"queue": queue} if queue else {}))}, OURS, QUEUE)


def test_an_errback_of_three_arguments_is_refused(shop: Celery) -> None:
    """It would fail in the shop's worker; one that takes the job's id will do, or any by its name."""

    def three(request: Any, exc: Any, traceback: Any) -> None: ...

    def bound(self: Any, job_id: str) -> None: ...

    def with_more(job_id: str, sku: str) -> None: ...

    register = shop.task
    wrong, right, more = register(three), register(bind=True)(bound), register(with_more)
    with pytest.raises(TypeError, match="three must take one argument, the job's id"):
        addressed({"link_error": wrong.s()}, OURS, QUEUE)
    good = [right.s(), more.s("A-1"), more.s(sku="A-1"), wrong.si(1, 2, 3), shop.signature("elsewhere")]
    assert len(addressed({"link_error": good}, OURS, QUEUE)["link_error"]) == 5


def test_a_failed_job_is_an_exception_that_can_be_carried() -> None:
    """It is under the root, says status, code and message, and comes through pickle."""
    result = {"jobId": "j", "status": "rejected", "errorCode": "AIGC_X", "errorMsg": "no good"}
    error = pickle.loads(pickle.dumps(tasks.JobFailed.of(result)))
    assert isinstance(error, tasks.AigcError)
    assert (str(error), error.args) == ("job j is rejected (AIGC_X: no good)", tuple(result.values()))
    assert str(tasks.JobFailed("j", "unknown", None, None)) == "job j is unknown"
