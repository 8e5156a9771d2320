"""Programs whose Celery tasks are to run at once, in the program itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

import tasks
from tasks.eager import refuse_eager
from tests.unit.tasks.samples import text_to_image

WAYS: dict[str, Callable[[], Any]] = {
    "submit": lambda: tasks.submit(text_to_image()),
    "celery": lambda: tasks.submit(text_to_image(), countdown=1),
    "many": lambda: tasks.submit_many([text_to_image()]),
    "signature": lambda: tasks.signature(text_to_image()),
}


@pytest.fixture
def shop() -> Iterator[Celery]:
    """A program's own Celery app."""
    with Celery("shop", set_as_current=False) as app:
        yield app
        app.conf.task_always_eager = False  # others find the app until it is collected


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_an_eager_app_is_refused(shop: Celery, way: Callable[[], Any]) -> None:
    """Before anything is queued, for a test of the program's would buy a picture; the app is named."""
    shop.conf.task_always_eager = True
    with pytest.raises(tasks.SettingsError, match="task_always_eager is set on the Celery app 'shop'"):
        way()


def test_an_eager_app_is_found_before_its_configuration_was_read(shop: Celery) -> None:
    """It may come from an object that Celery reads only when it has to, as Django's settings do."""
    shop.config_from_object({"task_always_eager": True})
    with pytest.raises(tasks.SettingsError):
        refuse_eager()
    shop.config_from_object({"task_always_eager": False}, force=True)
    refuse_eager()


def test_an_app_that_cannot_be_configured_is_none_of_our_business(shop: Celery) -> None:
    """The program finds out when it uses it."""
    shop.config_from_object("no.such.module")
    refuse_eager()
    shop.config_from_object({}, force=True)
