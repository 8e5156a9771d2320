"""Hands messages to those who wait for them: one subscription, however many wait.

Nothing is missed: who waits is known here before it looks whether there is a message already, and after each
new subscription this looks for all who wait. Written once, for asyncio and for a thread (see `drivers`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol

from .. import broker
from ..clients import SOCKET_TIMEOUT_S, is_away, reported
from ..json_text import loads
from ..message_json import NewerMessage
from .feed import Feed, Found, M
from .patience import Patience
from .sources import Parser

if TYPE_CHECKING:
    import redis.asyncio
    from redis.asyncio.client import PubSub

_LOOK_UP_S: Final = 1.0
_QUIET_S: Final = 5.0
"""After so long without a word Redis is asked for one: a peer that vanished says nothing either."""


class Waiter(Protocol):
    """Who waits for one message; a future of asyncio's or of concurrent.futures."""

    def done(self) -> bool: ...
    def set_result(self, message: Any, /) -> None: ...
    def set_exception(self, error: BaseException, /) -> None: ...


class Dispatcher(Generic[M]):
    """One subscription's worth. `add` and `remove` may be called from any thread.

    Args:
        feed: what is waited for.
        client: used for the subscription only.
        look_up: gives the messages that there are about these ids.
        patience: pauses while Redis is away.
    """

    def __init__(
        self,
        feed: Feed[M],
        client: redis.asyncio.Redis,
        look_up: Callable[[Sequence[str]], Awaitable[dict[str, Found[M]]]],
        patience: Patience,
    ) -> None:
        self._feed, self._client, self._look_up, self._patience = feed, client, look_up, patience
        self.settings = broker.settings()
        self._name = feed.name(self.settings)
        self._parser = Parser(feed, self._name)
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Waiter]] = {}
        self._is_looked_for = self._has_served = self.has_ended = False

    def add(self, of: str, waiter: Waiter) -> bool | None:
        """Have it told of the next message about this.

        Returns: whether the caller has to look for itself whether there is one already; None where this has
        ended, and takes nobody any more.
        """
        with self._lock:
            if self.has_ended:
                return None
            self._waiting.setdefault(of, []).append(waiter)
            return self._is_looked_for

    def remove(self, of: str, waiter: Waiter) -> bool:
        """It waits no longer; whether nobody does now."""
        with self._lock:
            waiters = self._waiting.get(of, [])
            with suppress(ValueError):
                waiters.remove(waiter)
            if not waiters:
                self._waiting.pop(of, None)
            return not self._waiting

    async def run(self) -> None:
        """Serve until nobody waits. Raises nothing: what cannot be mended each waiter is told."""
        from redis.exceptions import RedisError

        try:
            while not self._ends_now():
                try:
                    await self._serve()
                except (RedisError, OSError) as error:
                    await self._wait_out(error)
        except Exception as error:  # whatever it is: nobody may wait in vain
            self._fail(error)
        finally:
            self.has_ended = True
            with suppress(RedisError, OSError):
                await self._client.aclose()

    def _ends_now(self) -> bool:
        with self._lock:
            self.has_ended = not self._waiting
            return self.has_ended

    async def _wait_out(self, error: Exception) -> None:
        """Raises BrokerUnavailable where it was the first connection, or waiting cannot mend it."""
        if not self._has_served or not is_away(error):
            with reported(self._name):
                raise error
        await self._patience.wait_out(error, self._name)  # type: ignore[arg-type]

    async def _serve(self) -> None:
        """One connection, until it is lost or nobody waits."""
        from redis.exceptions import TimeoutError

        subscription = self._client.pubsub()
        try:
            await subscription.subscribe(self._name)
            if await subscription.get_message(timeout=SOCKET_TIMEOUT_S) is None:
                raise TimeoutError("Redis did not confirm the subscription")
            with self._lock:
                self._is_looked_for = True  # whoever comes from now on has to look for itself
                waiting = list(self._waiting)
            for of, message in (await self._look_up(waiting)).items():
                self._hand_over(of, message)
            self._has_served = True
            self._patience.renew()
            await self._hand_out(subscription)
        finally:
            await _dropped(subscription)

    async def _hand_out(self, subscription: PubSub) -> None:
        from redis.exceptions import ConnectionError

        heard, is_asked = time.monotonic(), False
        while not self._ends_now():
            message = await subscription.get_message(timeout=_LOOK_UP_S)
            if message is not None:
                heard, is_asked = time.monotonic(), False
                if message["type"] == "message":
                    self._read(message["data"])
            elif is_asked and time.monotonic() - heard > _QUIET_S + SOCKET_TIMEOUT_S:
                raise ConnectionError("the subscription is silent")
            elif not is_asked and time.monotonic() - heard > _QUIET_S:
                await subscription.ping()
                is_asked = True

    def _read(self, text: bytes) -> None:
        message = self._parser.read(text, "a message")
        if isinstance(message, NewerMessage):
            self._hand_over(str(loads(text).get(self._feed.id_key)), message)
        elif message is not None and self._feed.is_meant(message, self.settings):
            self._hand_over(self._feed.id_of(message), message)

    def _hand_over(self, of: str, message: Found[M]) -> None:
        with self._lock:
            waiters = self._waiting.pop(of, [])
        for waiter in waiters:
            _tell(waiter, message)

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self.has_ended = True
            waiters = [waiter for each in self._waiting.values() for waiter in each]
            self._waiting.clear()
        for waiter in waiters:
            _tell(waiter, error)


def _tell(waiter: Waiter, what: object) -> None:
    with suppress(Exception):  # it has given up meanwhile: each library has an InvalidStateError of its own
        if isinstance(what, Exception):
            # Of its own, for each that raises it adds to its traceback.
            waiter.set_exception(copy(what).with_traceback(None))
        else:
            waiter.set_result(what)


async def _dropped(subscription: PubSub) -> None:
    from redis.exceptions import RedisError

    with suppress(RedisError, OSError):
        if subscription.connection is not None:
            await subscription.connection.disconnect(True)  # without waiting for the other side
        await subscription.aclose()  # type: ignore[no-untyped-call]
