"""Connections that ask sentinels where the primary is, each time that they are made.

Nothing is remembered but which sentinel to ask first: whoever loses a connection, or is told by a demoted
primary that it is one, connects anew and thereby asks anew. redis-py's own `Sentinel` is not used: its
errors show a client's options, its questions wait without a bound of their own, and it takes a server for the
primary without asking the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from .redis_url import Sentinels

if TYPE_CHECKING:
    from .redis_address import Place

ANSWER_WITHIN_S: Final = 1.0
"""How long one sentinel is waited for, to connect and again to answer; then the next one is asked."""

NO_PRIMARY: Final = "no sentinel gives the address of"
_QUESTION: Final = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME")
_WORDS: Final = (
    (("NOAUTH", "Authentication required", "HELLO must"), "wants a password: sentinel_password"),
    (("WRONGPASS", "invalid password", "invalid username"), "refuses sentinel_username or sentinel_password"),
    (("without any password",), "has no password: leave out sentinel_password"),
    (("NOPERM", "no permissions"), "refuses the question to this user: +sentinel|get-master-addr-by-name"),
    (("unknown command",), "is no sentinel"),
    (("EOF occurred", "_ALERT_", "alert "), "wants ssl_certfile and ssl_keyfile, or others than these"),
)


class _Asked:
    """Whom to ask, in which order: who answered last, and was right, comes first."""

    def __init__(self, sentinels: Sentinels) -> None:
        self.sentinels = sentinels
        self._order = sentinels.places

    def __iter__(self) -> Iterator[Place]:
        return iter(self._order)

    def begins_with(self, place: Place) -> None:
        at = self._order.index(place)
        self._order = self._order[at:] + self._order[:at]

    def distrust(self) -> None:
        """The first one named what is no primary: an isolated sentinel does that for as long as it is."""
        self._order = self._order[1:] + self._order[:1]

    @contextmanager
    def distrusted_where_it_fails(self) -> Iterator[None]:
        """A server that lets connect and then says nothing is none either: the kernel of a machine whose
        Redis hangs does that. A wrong password would be wrong at each."""
        from redis.exceptions import AuthenticationError, ConnectionError, TimeoutError

        try:
            yield
        except (OSError, ConnectionError, TimeoutError) as error:
            if not isinstance(error, AuthenticationError):
                self.distrust()
            raise

    def options(self, place: Place) -> dict[str, Any]:
        host, port = place
        bounds = {"socket_timeout": ANSWER_WITHIN_S, "socket_connect_timeout": ANSWER_WITHIN_S}
        return {"host": host, "port": port, "protocol": 2, **bounds, **self.sentinels.options}

    def found(self, place: Place, answer: Any) -> Place:
        self.begins_with(place)
        host, port = (each.decode() if isinstance(each, bytes) else str(each) for each in answer)
        return host, int(port)

    def none(self, said: list[str]) -> Exception:
        from redis.exceptions import ConnectionError

        return ConnectionError(f"{NO_PRIMARY} {self.sentinels.primary}: {'; '.join(said)}")


def _not_known(place: Place, primary: str) -> str:
    return f"{place[0]}:{place[1]} watches no primary called {primary}"


def _trouble(place: Place, error: Exception) -> str:
    from ssl import SSLError

    from .redis_errors import chain, said_by

    of_tls = (str(each) for each in chain(error) if isinstance(each, SSLError))
    text = next(of_tls, said_by(error))
    for words, meaning in _WORDS:
        if any(word in text for word in words):
            return f"{place[0]}:{place[1]} {meaning}"
    return f"{place[0]}:{place[1]} does not answer ({text})"


def _demoted(host: str, port: int) -> Exception:
    from redis.exceptions import ConnectionError

    return ConnectionError(f"{host}:{port} is a replica, and a sentinel names it as the primary still")


def _is_primary(answer: Any) -> bool:
    role = answer[0]
    return (role.decode() if isinstance(role, bytes) else role) == "master"


def _primary_by(asked: _Asked) -> Place:
    """Where the primary is, by the first sentinel that says so."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    to_sentinel = redis.SSLConnection if asked.sentinels.is_tls else redis.Connection
    said = []
    for place in asked:
        connection: Any = to_sentinel(retry=Retry(NoBackoff(), 0), **asked.options(place))
        try:
            connection.send_command(*_QUESTION, asked.sentinels.primary, check_health=False)
            answer = connection.read_response()
        except (redis.RedisError, OSError) as error:
            said.append(_trouble(place, error))
            continue
        finally:
            connection.disconnect()
        if answer is not None:
            return asked.found(place, answer)
        said.append(_not_known(place, asked.sentinels.primary))
    raise asked.none(said)


async def _primary_by_async(asked: _Asked) -> Place:
    import redis.asyncio
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError

    to_sentinel = redis.asyncio.SSLConnection if asked.sentinels.is_tls else redis.asyncio.Connection
    said = []
    for place in asked:
        connection: Any = to_sentinel(retry=Retry(NoBackoff(), 0), **asked.options(place))
        try:
            await connection.connect()
            await connection.send_command(*_QUESTION, asked.sentinels.primary, check_health=False)
            answer = await connection.read_response()
        except (RedisError, OSError) as error:
            said.append(_trouble(place, error))
            continue
        finally:
            await connection.disconnect(nowait=True)
        if answer is not None:
            return asked.found(place, answer)
        said.append(_not_known(place, asked.sentinels.primary))
    raise asked.none(said)


def found(base: type[Any], sentinels: Sentinels) -> type[Any]:
    """redis-py's class of connections, to wherever these sentinels say."""
    from redis.exceptions import ResponseError

    asked = _Asked(sentinels)

    class Found(base):  # type: ignore[misc]
        def _connect(self) -> Any:
            self.host, self.port = _primary_by(asked)
            with asked.distrusted_where_it_fails():
                return super()._connect()

        def on_connect(self) -> None:
            if hasattr(base, "on_connect_check_health"):
                super().on_connect()  # calls the other one
                return
            with asked.distrusted_where_it_fails():  # redis-py before 6 knows only this one
                super().on_connect()
                self._check_role()

        def on_connect_check_health(self, *args: Any, **kwargs: Any) -> None:
            with asked.distrusted_where_it_fails():
                super().on_connect_check_health(*args, **kwargs)
                self._check_role()

        def _check_role(self) -> None:
            self.send_command("ROLE", check_health=False)
            try:
                answer = self.read_response()
            except ResponseError:
                return  # no right to it: the sentinels' word has to do
            if not _is_primary(answer):
                raise _demoted(self.host, self.port)

    Found.__name__ = Found.__qualname__ = f"Found{base.__name__}"
    return Found


def found_async(base: type[Any], sentinels: Sentinels) -> type[Any]:
    """The same for `redis.asyncio`."""
    from redis.exceptions import ResponseError

    asked = _Asked(sentinels)

    class Found(base):  # type: ignore[misc]
        async def _connect(self) -> None:
            self.host, self.port = await _primary_by_async(asked)
            with asked.distrusted_where_it_fails():
                await super()._connect()

        async def on_connect(self) -> None:
            if hasattr(base, "on_connect_check_health"):
                await super().on_connect()
                return
            with asked.distrusted_where_it_fails():
                await super().on_connect()
                await self._check_role()

        async def on_connect_check_health(self, *args: Any, **kwargs: Any) -> None:
            with asked.distrusted_where_it_fails():
                await super().on_connect_check_health(*args, **kwargs)
                await self._check_role()

        async def _check_role(self) -> None:
            await self.send_command("ROLE", check_health=False)
            try:
                answer = await self.read_response()
            except ResponseError:
                return
            if not _is_primary(answer):
                raise _demoted(self.host, self.port)

    Found.__name__ = Found.__qualname__ = f"Found{base.__name__}"
    return Found


def survey(sentinels: Sentinels) -> list[tuple[Place, str]]:
    """What each sentinel says, on its own: where the primary is as host:port, or what is wrong in words."""
    import redis

    found = []
    for place in sentinels.places:
        alone = replace(sentinels, places=(place,))
        try:
            host, port = _primary_by(_Asked(alone))
            found.append((place, f"{host}:{port}"))
        except redis.ConnectionError as error:
            found.append((place, str(error).partition(f"{sentinels.primary}: ")[2]))
    return found
