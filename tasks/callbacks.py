"""What a shop hangs on a job in a Celery canvas, made fit for a worker that knows nothing of the shop's app.

A worker sends callbacks by name. One without a queue would go to a default that only the shop's own app
knows, so its queue is written into it here; what could not be done at all is refused, before it is queued.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from .contract import BATCH_TASK_NAME, RESULT_HEADER, TASK_NAME, queue_lists

if TYPE_CHECKING:
    from celery import Celery
    from celery.canvas import Signature

_OWN: Final = (TASK_NAME, BATCH_TASK_NAME)
_DESTINATION: Final = ("queue", "exchange", "routing_key")


def addressed(options: Mapping[str, Any], ours: Celery, queue: str) -> dict[str, Any]:
    """The options of a job's `apply_async`, with a queue in each callback.

    Args:
        ours: the app that sends the job.
        queue: the jobs' own.

    Raises:
        ValueError: a callback would go to the jobs' queue, where it is none.
        TypeError: an errback cannot be called with the one argument that it gets.
    """
    found = dict(options)
    address = _Address(ours, queue)
    for name in ("link", "link_error", "chain"):
        if given := found.get(name):
            listed = list(given) if isinstance(given, list | tuple) else [given]
            found[name] = [address(each, is_errback=name == "link_error") for each in listed]
    return found


class _Address:
    """Writes queues into signatures; those that it is given stay as they are."""

    def __init__(self, ours: Celery, queue: str) -> None:
        self._ours = ours
        self._queue = queue

    def __call__(self, given: Any, app: Celery | None = None, *, is_errback: bool = False) -> Any:
        """The signature, addressed; `app` is that of what it stands in, where it has none of its own."""
        from celery import maybe_signature

        app = getattr(given, "_app", None) or app or _current_app()
        signature = maybe_signature(given, app=app, clone=True).clone()  # a dict's own parts stay as they are
        for name in ("link", "link_error"):
            if inner := signature.options.get(name):
                listed = inner if isinstance(inner, list | tuple) else [inner]
                signature.options[name] = [
                    self(each, app, is_errback=name == "link_error") for each in listed
                ]
        if signature.subtask_type:
            self._address_parts(signature, app)
            return signature
        if is_errback:
            _check_arity(signature, app)
        if not any(signature.options.get(name) for name in _DESTINATION):
            signature.set(queue=self._queue_of(signature, app))
        name = signature.options.get("queue")
        if signature.task not in _OWN and getattr(name, "name", name) in queue_lists(self._queue):
            raise ValueError(f"{signature.task} would go to {self._queue}, the jobs' queue: give it its own")
        return signature

    def _address_parts(self, signature: Signature, app: Celery) -> None:
        for name in ("tasks", "header"):
            parts = signature.kwargs.get(name)
            if isinstance(parts, list | tuple):
                signature.kwargs[name] = [self(each, app) for each in parts]
            elif isinstance(parts, dict):
                signature.kwargs[name] = self(parts, app)
        if signature.kwargs.get("body"):
            signature.kwargs["body"] = self(signature.kwargs["body"], app)

    def _queue_of(self, signature: Signature, app: Celery) -> str:
        if signature.task in _OWN:
            return self._queue
        # A task of the shop's by its name only may be one of the current app's.
        shop = app if app is not self._ours else _current_app()
        queue = shop.amqp.router.route({}, signature.task, signature.args, signature.kwargs)["queue"]
        return str(getattr(queue, "name", queue))


def _current_app() -> Celery:
    from celery import current_app

    return current_app


def _check_arity(signature: Signature, app: Celery) -> None:
    """Celery gives an errback of another program the job's id, and neither request nor exception."""
    task = None if signature.immutable else app.tasks.get(signature.task)
    if task is None:
        return
    try:
        inspect.signature(task.run).bind("id", *signature.args, **signature.kwargs)
    except TypeError:
        raise TypeError(
            f"link_error: {signature.task} must take one argument, the job's id, for it runs in another"
            f" process than the job; how the job ended is in its request: request.get('{RESULT_HEADER}')"
        ) from None
