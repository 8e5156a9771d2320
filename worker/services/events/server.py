"""Running the service until it is told to end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any

from tasks.contract import queue_for
from tasks.settings import BrokerSettings
from worker.local.listener import listen
from worker.services.asgi import server_of, stopped_by_signals
from worker.services.events.app import REDIS_AWAY, create_app
from worker.services.events.config import Config
from worker.store.events import EventQueue
from worker.store.keys import KeyNames

log = logging.getLogger(__name__)


def serve(
    config: Config, broker: BrokerSettings, host: str, port: int, on_ready: Callable[[int], object]
) -> None:
    """Serve until SIGINT or SIGTERM; then answer what has been taken, within 15 s, and return.

    Args:
        host: address to listen on.
        port: 0 for any that is free.
        on_ready: called with the port once connections are taken.

    Raises:
        OSError: the address cannot be listened on; the message says which and why.
    """
    with closing(listen(host, port)) as listener:
        asyncio.run(_serve(config, broker, listener, on_ready))


async def _serve(
    config: Config, broker: BrokerSettings, listener: Any, on_ready: Callable[[int], object]
) -> None:
    keys = KeyNames(broker.queue, broker.results)
    events = EventQueue(broker.redis_url, keys, config.priority, config.remember_s)
    app = create_app(config, events, queue_for(broker.queue, config.priority))
    server = server_of(app)
    try:
        with stopped_by_signals(server):
            on_ready(listener.getsockname()[1])
            if words := await events.trouble():
                log.error(REDIS_AWAY, extra={"fields": {"error": words}})
            await server.serve(sockets=[listener])
    finally:
        await events.close()
