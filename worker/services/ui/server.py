"""Running the service until it is told to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from tasks.frozen import value
from tasks.settings import BrokerSettings, Network
from worker.config.deciding import DecidingSettings
from worker.local.listener import listen
from worker.services.asgi import server_of, stopped_by_signals
from worker.services.ui.app import Sources, create_app
from worker.services.ui.context import Access, Site
from worker.services.ui.desk import Desk
from worker.services.ui.looks import Look
from worker.services.ui.reads import Reads
from worker.services.ui.sessions import Sessions
from worker.store.dead_letters import DeadLetters
from worker.store.forward_values import Stream
from worker.store.keys import KeyNames
from worker.store.metrics import snapshot
from worker.store.queued_jobs import Samples
from worker.store.scripts import Scripts
from worker.store.status import LOOK_S, status
from worker.store.unread_lists import find

UNREAD_KEPT_S: Final = 60.0
"""How often at most metrics look through all keys for lists that no worker reads."""


@value(frozen=True, slots=True)
class PageSettings:
    """Of the page: who may do what, how decisions are made, and which addresses pictures may have."""

    access: Access
    deciding: DecidingSettings
    allowed: tuple[Network, ...]


def serve(
    broker: BrokerSettings, page: PageSettings, host: str, port: int, on_ready: Callable[[int], object]
) -> None:
    """Serve until SIGINT or SIGTERM; then answer what has been asked, within 15 s, and return.

    Args:
        page: see `create_app`.
        host: address to listen on.
        port: 0 for any that is free.
        on_ready: called with the port once connections are taken.

    Raises:
        OSError: the address cannot be listened on; the message says which and why.
    """
    keys = KeyNames(broker.queue, broker.results)
    streams: dict[Stream, str] = {"results": broker.results, "outputs": broker.outputs}
    with closing(listen(host, port)) as listener:
        scripts = Scripts(broker.redis_url, (keys.queue, keys.results), connections=8)
        unread = Look(lambda: find(scripts.client, keys, LOOK_S)[0], kept_s=UNREAD_KEPT_S)
        samples = Samples()
        sources = Sources(
            snapshot=lambda: snapshot(scripts, keys, unread.get(), samples),
            status=lambda: status(scripts, keys, streams),
            ping=scripts.client.ping,
        )
        app = create_app(sources, _site(broker, page, scripts, keys))
        with closing(scripts):
            asyncio.run(_serve(app, listener, on_ready))


def _site(broker: BrokerSettings, page: PageSettings, scripts: Scripts, keys: KeyNames) -> Site:
    prices = page.deciding.prices
    dead_letters = DeadLetters(scripts, keys, page.deciding.keep_s, prices)
    return Site(
        page.access,
        Sessions(page.access.token),
        Reads(scripts, keys, broker.outputs, dead_letters, prices),
        Desk(scripts, keys, dead_letters),
        broker.queue,
        prices,
        page.allowed,
    )


async def _serve(app: Any, listener: Any, on_ready: Callable[[int], object]) -> None:
    server = server_of(app)
    with stopped_by_signals(server):
        on_ready(listener.getsockname()[1])
        await server.serve(sockets=[listener])
