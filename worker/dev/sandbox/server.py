"""Running the sandbox: a uvicorn server that hands its connections to the app and stops quickly."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from worker.dev.sandbox import rules as rule_language
from worker.dev.sandbox.app import create_app
from worker.dev.sandbox.rules import Rule
from worker.dev.sandbox.served_request import Connections
from worker.dev.sandbox.state import Config
from worker.domain.signing import Credentials
from worker.local.listener import listen

STOP_GRACE_S = 1.0
KEEP_ALIVE_S = 60


def serve(
    host: str = "127.0.0.1",
    port: int = 8081,
    *,
    keys: Sequence[Credentials],
    rules: Sequence[Rule | str] = (),
    on_ready: Callable[[int], object] | None = None,
    **settings: Any,
) -> None:
    """Serve until SIGINT or SIGTERM; then give running requests a second and return.

    Args:
        host: address to listen on.
        port: 0 for any that is free.
        keys: the key pairs that are accepted.
        rules: faults that strike every post, parsed or as text.
        on_ready: called with the port once connections are taken.
        settings: the other fields of :class:`Config`.

    Raises:
        OSError: the address cannot be listened on; the message says which and why.
        RuleError: a rule's text is wrong.
    """
    parsed = [rule_language.parse(rule) if isinstance(rule, str) else rule for rule in rules]
    config = Config(keys=keys, rules=parsed, **settings)
    with closing(listen(host, port)) as listener:
        server = _Server(config)
        with _stopped_by_signals(server):
            if on_ready is not None:
                on_ready(listener.getsockname()[1])
            server.run(sockets=[listener])


@contextmanager
def running(config: Config, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """A sandbox in a thread of this process for as long as the block runs; gives its base URL.

    Raises:
        OSError: as :func:`serve`.
    """
    with closing(listen(host, port)) as listener:
        server = _Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sandbox")
        url_host = f"[{host}]" if ":" in host else host
        url = f"http://{url_host}:{listener.getsockname()[1]}"
        thread.start()
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join()


class _Server(uvicorn.Server):
    """Stops within :data:`STOP_GRACE_S`, hanging requests or not."""

    def __init__(self, config: Config) -> None:
        app = create_app(config)
        self._connections: Connections = app.state.sandbox.connections
        protocol = type("SandboxProtocol", (_Tracked, AutoHTTPProtocol), {"tracked": self._connections})
        super().__init__(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", protocol),
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(STOP_GRACE_S) + 1,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().call_later(STOP_GRACE_S, self._connections.abort_all)
        await super().shutdown(sockets)


class _Tracked(asyncio.Protocol):
    """Mixed into uvicorn's protocol: notes each connection's transport under its peer's address."""

    tracked: Connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # A client may have left before its connection gets here: then it has no name any more.
        self._peer = (transport.get_extra_info("peername") or ("", 0))[:2]
        self.tracked[self._peer] = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.tracked.pop(self._peer, None)
        super().connection_lost(exc)


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    # uvicorn raises the signal again once it has stopped: without handlers of ours around it, that
    # would kill the process. They also serve a signal that comes before uvicorn listens for it.
    previous = {
        number: signal.signal(number, server.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
