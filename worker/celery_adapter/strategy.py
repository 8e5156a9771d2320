"""How a delivered message becomes a running task: Celery's default strategy, less what we do not use.

The transport has parsed and checked the message already, so the arguments are handed on as they are:
decoding them again would cost a second parse, and kombu's JSON turns some objects of a payload into
other things. Messages with an ETA are delayed in Redis; rate limits, events and revoking are not used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.utils.imports import symbol_by_name
from celery.worker.request import create_request_cls
from celery.worker.state import task_reserved


def deliver(task: Any, app: Any, consumer: Any) -> Callable[..., None]:
    """Celery's hook ``Task.Strategy``: returns the handler of one task's messages."""
    request_cls = create_request_cls(
        symbol_by_name(task.Request),
        task,
        consumer.pool,
        consumer.hostname,
        consumer.event_dispatcher,
        app=app,
    )
    execute = consumer.on_task_request

    def handle(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        args, kwargs, embedded = message.arguments
        request = request_cls(
            message,
            on_ack=ack,
            on_reject=reject,
            app=app,
            hostname=consumer.hostname,
            eventer=consumer.event_dispatcher,
            task=task,
            connection_errors=consumer.connection_errors,
            # As two arguments: a keyword argument named `self`, say, would never reach the task.
            body=((args, kwargs), {}, embedded),
            headers=message.headers,
            decoded=True,
        )
        task_reserved(request)
        for callback in callbacks or ():
            callback(request)
        execute(request)

    return handle
