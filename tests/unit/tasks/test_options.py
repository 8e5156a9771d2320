"""Arguments of `submit`, `submit_many` and `signature` that are none, or cannot be right. Nothing is sent."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import celery
import kombu
import pytest
from celery.app.amqp import AMQP

import tasks
from tasks.options import CELERY_OPTIONS
from tests.unit.tasks.samples import text_to_image


@pytest.fixture(autouse=True)
def _no_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What gets as far as Redis fails the test; the settings that were read are forgotten afterwards."""

    def refuse() -> Any:
        raise AssertionError("it was queued")

    monkeypatch.setattr("tasks.broker.redis_client", refuse)
    yield
    tasks.configure()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"metdata": {"sku": "A-1"}}, "metadata"),
        ({"delay": 5}, "countdown"),
        ({"jobid": "a"}, "job_id"),
        ({"id": "a"}, "job_id"),
        ({"count_down": 5}, "countdown"),
        ({"priorty": "high"}, "priority"),
        ({"dedupe": "a"}, "dedupe_key"),
        ({"dedupe_ttl": 5}, "dedupe_ttl_s"),
        ({"Queue": "other"}, "queue"),
    ],
)
def test_an_argument_that_is_none_is_refused_with_the_nearest_name(given: dict[str, Any], meant: str) -> None:
    """Celery would send it as a property of the message, and say nothing."""
    (name,) = given
    with pytest.raises(TypeError, match=rf"submit\(\) has no argument '{name}': did you mean {meant}\?"):
        tasks.submit(text_to_image(), **given)


def test_a_signature_names_celerys_word_for_an_id() -> None:
    """Its options are those of `apply_async`."""
    with pytest.raises(TypeError, match=r"signature\(\) has no argument 'job_id': did you mean task_id\?"):
        tasks.signature(text_to_image(), job_id="a")


def test_where_no_name_is_near_all_are_given() -> None:
    """So that nobody has to look them up."""
    with pytest.raises(TypeError, match=r"'zzz'; it takes payload, job_id, .*, and Celery's options"):
        tasks.submit(text_to_image(), zzz=1)


def test_each_option_of_celery_is_known() -> None:
    """An option that a new version takes fails here: it goes into `CELERY_OPTIONS`."""
    functions: list[Callable[..., Any]] = [
        celery.Celery.send_task,
        celery.Task.apply_async,
        kombu.Producer.publish,
        AMQP.as_task_v2,
    ]
    named = {name for function in functions for name in inspect.signature(function).parameters}
    not_the_callers = {
        *("self", "name", "args", "kwargs", "options", "body", "properties", "argsrepr", "kwargsrepr"),
        *("callbacks", "errbacks", "create_sent_event", "now", "timezone"),
    }
    assert named - not_the_callers <= CELERY_OPTIONS


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"job_id": ""}, "id"),
        ({"task_id": ""}, "id"),
        ({"job_id": 5}, "id"),
        ({"metadata": []}, "metadata"),
        ({"metadata": ""}, "metadata"),
        ({"unlisted": "yes"}, "unlisted"),
        ({"dedupe_key": ""}, "dedupe_key"),
        ({"dedupe_key": 5}, "dedupe_key"),
        ({"dedupe_key": "a", "dedupe_ttl_s": 0}, "dedupe_ttl_s"),
        ({"dedupe_ttl_s": -1}, "dedupe_ttl_s"),
        ({"dedupe_key": "a", "dedupe_ttl_s": float("nan")}, "dedupe_ttl_s"),
    ],
)
def test_a_value_that_is_empty_is_not_taken_for_none(given: dict[str, Any], field: str) -> None:
    """The error names the argument: an empty id of a shop's row is a mistake, not a wish for a random one."""
    with pytest.raises(tasks.InvalidPayload) as caught:
        tasks.submit(text_to_image(), **given)
    assert caught.value.errors[0][0] == field


def test_two_times_to_begin_are_refused() -> None:
    """Celery would take one of them, and say nothing; None is none."""
    when = datetime(2030, 1, 1, tzinfo=UTC)
    for submits in (tasks.submit, tasks.signature):
        with pytest.raises(TypeError, match="countdown and eta are two names of one thing"):
            submits(text_to_image(), countdown=5, eta=when)
    assert tasks.signature(text_to_image(), countdown=None, eta=when).options["eta"] == when


def test_two_ids_are_refused() -> None:
    """By our name and by Celery's: one of them would be lost."""
    with pytest.raises(TypeError, match="job_id and task_id"):
        tasks.submit(text_to_image(), job_id="a", task_id="b")


def test_submit_many_that_nobody_iterates_warns_where_it_is_called() -> None:
    """It has queued nothing."""
    with pytest.warns(RuntimeWarning, match="queued nothing") as caught:
        tasks.submit_many([text_to_image()])
    assert caught[0].filename == __file__


def test_submit_many_that_was_asked_or_closed_does_not_warn() -> None:
    """Nor one without jobs that was asked for them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(tasks.submit_many([])) == []
        tasks.submit_many([text_to_image()]).close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("single", [text_to_image(), tasks.Submission(text_to_image())])
def test_submit_many_takes_no_single_payload(single: Any) -> None:
    """A dict would be taken for its keys."""
    with pytest.raises(TypeError, match="for a single one there is submit"):
        tasks.submit_many(single)


def test_submit_many_refuses_bad_arguments_at_the_call() -> None:
    """Not only when the first id is asked for."""
    with pytest.raises(ValueError, match="high, normal, low"):
        tasks.submit_many([], priority="urgent")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="jobs_per_message"):
        tasks.submit_many([], jobs_per_message=0)


def test_the_number_that_batch_once_was_is_refused_by_its_new_name() -> None:
    """A program that was written for the older version hears what to write."""
    with pytest.raises(TypeError, match="jobs_per_message"):
        tasks.submit_many([], batch=50)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", ["", "a b", "x" * 101])
def test_a_batch_that_cannot_be_called_so_is_refused_before_anything_is_queued(batch: str) -> None:
    """By all that take one."""
    item = tasks.Submission(text_to_image(), batch=batch)
    for call in (
        lambda: tasks.submit(text_to_image(), batch=batch),
        lambda: tasks.signature(text_to_image(), batch=batch),
        lambda: tasks.submit_many([], batch=batch),
        lambda: next(tasks.submit_many([item])),
    ):
        with pytest.raises(tasks.InvalidPayload, match="batch: must be a string of 1 to 100"):
            call()
