"""Celery in programs under test: what our app sends is captured, and what the program's own apps send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .. import broker
from ..callbacks import addressed
from ..contract import BATCH_TASK_NAME, TASK_NAME
from ..eager import OWN_APP
from ..exceptions import JobFailed
from ..submission import new_id

if TYPE_CHECKING:
    from celery import Celery

    from .memory import InMemory


def capturing_app(memory: InMemory) -> Celery:
    """An app for signatures and for Celery's options, in the place of `tasks.broker`'s."""
    from celery import Celery

    class App(Celery):  # type: ignore[misc]
        def send_task(
            self, name: str, args: Any = None, kwargs: Any = None, task_id: str | None = None, **options: Any
        ) -> Any:
            task_id = task_id or new_id()
            queue = broker.settings().queue
            memory.sent(name, args or (), kwargs, task_id, addressed(options, self, queue))
            return self.AsyncResult(task_id)

    app = App(OWN_APP, broker="memory://", set_as_current=False)
    app.conf.task_ignore_result = True

    @app.task(name=TASK_NAME, bind=True, shared=False, ignore_result=True)  # type: ignore[untyped-decorator]
    def submit_workflow(task: Any, payload: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        # Only where an eager app runs a canvas at once: the next task of it gets what it would get then.
        memory.sent(TASK_NAME, [payload], arguments, task.request.id, {})
        result = memory.jobs.result(task.request.id) or memory.jobs.finish(task.request.id)
        fields = _fields(result)
        if result.status != "submitted":
            raise JobFailed.of(fields)
        return fields

    return app


def _fields(result: Any) -> dict[str, Any]:
    from ..json_text import loads

    fields: dict[str, Any] = loads(result.to_json())
    return fields


@contextmanager
def own_apps_captured(memory: InMemory) -> Iterator[None]:
    """What the program's own apps publish by a job's name, once they have published it."""
    from celery.signals import before_task_publish

    def publish(sender: str, body: Any, headers: Any, routing_key: str, properties: Any, **_: Any) -> None:
        if sender in (TASK_NAME, BATCH_TASK_NAME):
            args, kwargs, _embed = body
            options = {"headers": headers, "queue": routing_key}
            if priority := (properties or {}).get("priority"):
                options["priority"] = priority
            memory.sent(sender, args, kwargs, headers["id"], options)

    before_task_publish.connect(publish, weak=False, dispatch_uid=id(memory))
    try:
        yield
    finally:
        before_task_publish.disconnect(dispatch_uid=id(memory))
