"""What we use of libraries beside their documented interfaces is there, with the signature that we rely on.

An upgrade that takes one of these away, or changes it, fails here, with its name and who needs it; not
somewhere in a worker. Where one fails: read what has taken its place, mend the module that is named, and
then this table.
"""

from __future__ import annotations

import dis
import http.client
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple
from unittest.mock import Mock

import celery
import hiredis
import pytest
import redis
import redis.asyncio as aio
import requests
import urllib3
from celery.app.task import Task
from celery.apps.worker import Worker
from celery.concurrency.base import BasePool
from celery.concurrency.prefork import TaskPool
from celery.worker import request, state
from celery.worker.consumer import Consumer, Gossip, Heart, Mingle
from celery.worker.consumer.events import Events
from celery.worker.worker import WorkController
from kombu.transport import TRANSPORT_ALIASES, base, virtual
from kombu.transport import redis as kombu_redis
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.util.ssltransport import SSLTransport
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tasks.contract import TASK_NAME

STRATEGY = "worker/celery_adapter/strategy.py"
LIFECYCLE = "worker/celery_adapter/lifecycle.py"
TRANSPORT = "worker/celery_adapter/transport.py"
TASKS = "worker/celery_adapter/tasks.py"
CONNECTION = "tasks/connection.py"
CONNECTOR = "worker/vendor/connector.py"
BOUNDED = "worker/vendor/bounded.py"
FETCHING = "worker/fetching/request.py"
SCRIPTS = "worker/store/scripts.py"
ASGI = "worker/services/asgi.py"


class Call(NamedTuple):
    """A call as we make it, or our own override of it: who needs it, and the arguments that it must take.

    ``positional`` counts a method's `self`.
    """

    needed_by: str
    function: Callable[..., Any]
    positional: int
    named: tuple[str, ...] = ()


CALLS = {
    # Celery
    "create_request_cls": Call(STRATEGY, request.create_request_cls, 5, ("app",)),
    "Request": Call(
        STRATEGY, request.Request.__init__, 2, ("on_ack", "on_reject", "app", "hostname", "eventer",
        "task", "connection_errors", "body", "headers", "decoded"),
    ),
    "task_reserved": Call(STRATEGY, state.task_reserved, 1),
    "Task.start_strategy": Call(STRATEGY, Task.start_strategy, 3),
    "Worker.install_platform_tweaks": Call(LIFECYCLE, Worker.install_platform_tweaks, 2),
    "Heart": Call(LIFECYCLE, Heart.__init__, 2, ("without_heartbeat",)),
    "Gossip": Call(LIFECYCLE, Gossip.__init__, 2, ("without_gossip",)),
    "Mingle": Call(LIFECYCLE, Mingle.__init__, 2, ("without_mingle",)),
    "Celery.connection_for_write": Call("tasks/broker.py", celery.Celery.connection_for_write, 2),
    "Celery.connection_for_read": Call("tasks/broker.py", celery.Celery.connection_for_read, 2),
    # kombu
    "virtual.Transport": Call(TRANSPORT, virtual.Transport.__init__, 2),
    "virtual.Transport._deliver": Call(TRANSPORT, virtual.Transport._deliver, 3),
    "virtual.Transport.drain_events": Call(TRANSPORT, virtual.Transport.drain_events, 2, ("timeout",)),
    "virtual.Transport.verify_connection": Call(TRANSPORT, virtual.Transport.verify_connection, 2),
    "virtual.Channel._put": Call(TRANSPORT, virtual.Channel._put, 3),
    "virtual.Channel._get": Call(TRANSPORT, virtual.Channel._get, 2, ("timeout",)),
    "virtual.Channel._purge": Call(TRANSPORT, virtual.Channel._purge, 2),
    "virtual.Channel._size": Call(TRANSPORT, virtual.Channel._size, 2),
    "virtual.QoS.ack": Call(TRANSPORT, virtual.QoS.ack, 2),
    "virtual.QoS.reject": Call(TRANSPORT, virtual.QoS.reject, 2, ("requeue",)),
    "virtual.Message": Call(TRANSPORT, virtual.Message.__init__, 2, ("channel",)),
    "kombu_redis.Channel.conn_or_acquire": Call(CONNECTION, kombu_redis.Channel.conn_or_acquire, 2),
    # redis-py
    "redis.Connection": Call(SCRIPTS, redis.connection.AbstractConnection.__init__, 1, ("driver_info",)),
    "redis.Connection.send_packed_command": Call(
        "worker/store/scripts.py, worker/store/selftest.py", redis.Connection.send_packed_command,
        2, ("check_health",),
    ),
    "redis.Connection.send_command": Call(
        "worker/store/scripts.py, worker/store/arrivals.py", redis.Connection.send_command, 4,
    ),
    "redis.Connection.read_response": Call(
        "worker/store/scripts.py, tasks/connection.py", redis.Connection.read_response, 1,
        ("timeout",),
    ),
    "redis.Connection.can_read": Call("worker/store/arrivals.py", redis.Connection.can_read, 2),
    "redis.Connection.pack_commands": Call("worker/store/selftest.py", redis.Connection.pack_commands, 2),
    "redis.Connection.connect": Call(
        "worker/store/selftest.py, worker/store/arrivals.py", redis.Connection.connect, 1,
    ),
    "redis.Connection.disconnect": Call(SCRIPTS, redis.Connection.disconnect, 1),
    "redis.Connection.on_connect_check_health": Call(
        CONNECTION, redis.Connection.on_connect_check_health, 1, ("check_health",),
    ),
    "aio.Connection.send_packed_command": Call(
        CONNECTION, aio.Connection.send_packed_command, 2, ("check_health",),
    ),
    "aio.Connection.read_response": Call(CONNECTION, aio.Connection.read_response, 1),
    "aio.Connection.connect_check_health": Call(
        CONNECTION, aio.Connection.connect_check_health, 1, ("check_health",),
    ),
    "aio.Connection.on_connect_check_health": Call(
        CONNECTION, aio.Connection.on_connect_check_health, 1, ("check_health",),
    ),
    "aio.Connection.check_health": Call(CONNECTION, aio.Connection.check_health, 1),
    "aio.Connection.disconnect": Call(CONNECTION, aio.Connection.disconnect, 1, ("nowait",)),
    # uvicorn
    "HttpToolsProtocol.connection_made": Call(ASGI, HttpToolsProtocol.connection_made, 2),
    "HttpToolsProtocol.connection_lost": Call(ASGI, HttpToolsProtocol.connection_lost, 2),
    "HttpToolsProtocol.data_received": Call(ASGI, HttpToolsProtocol.data_received, 2),
    "HttpToolsProtocol.on_message_begin": Call(ASGI, HttpToolsProtocol.on_message_begin, 1),
    "HttpToolsProtocol.on_headers_complete": Call(ASGI, HttpToolsProtocol.on_headers_complete, 1),
    "HttpToolsProtocol.on_message_complete": Call(ASGI, HttpToolsProtocol.on_message_complete, 1),
    "HttpToolsProtocol.send_400_response": Call(ASGI, HttpToolsProtocol.send_400_response, 2),
    # requests and urllib3
    "HTTPAdapter.get_connection_with_tls_context": Call(
        CONNECTOR, HTTPAdapter.get_connection_with_tls_context, 3, ("proxies",),
    ),
    "HTTPAdapter.init_poolmanager": Call(CONNECTOR, HTTPAdapter.init_poolmanager, 4, ("ssl_context",)),
    "HTTPAdapter.build_connection_pool_key_attributes": Call(
        CONNECTOR, HTTPAdapter.build_connection_pool_key_attributes, 3, ("cert",),
    ),
    "HTTPAdapter.cert_verify": Call(CONNECTOR, HTTPAdapter.cert_verify, 5),
    "HTTPAdapter.proxy_manager_for": Call(
        CONNECTOR, HTTPAdapter.proxy_manager_for, 2, ("ssl_context", "proxy_ssl_context"),
    ),
    "Session.merge_environment_settings": Call(CONNECTOR, requests.Session.merge_environment_settings, 6),
    "Session.get_redirect_target": Call(CONNECTOR, requests.Session.get_redirect_target, 2),
    "http.client.HTTPResponse": Call(BOUNDED, http.client.HTTPResponse.__init__, 2),
    "HTTPResponse.read1": Call("worker/vendor/query.py", urllib3.HTTPResponse.read1, 2, ("decode_content",)),
    "HTTPConnection.set_tunnel": Call(CONNECTOR, HTTPConnection.set_tunnel, 5),
    "HTTPConnection.connect": Call(CONNECTOR, HTTPConnection.connect, 1),
    "SSLTransport.recv": Call("worker/vendor/connection.py", SSLTransport.recv, 2),
    "SSLTransport.send": Call("worker/vendor/connection.py", SSLTransport.send, 2),
    "SSLTransport.settimeout": Call("worker/vendor/connection.py", SSLTransport.settimeout, 2),
    "SSLTransport.fileno": Call("worker/vendor/connection.py", SSLTransport.fileno, 1),
    "SSLTransport.close": Call("worker/vendor/connection.py", SSLTransport.close, 1),
}  # fmt: skip

ATTRIBUTES: dict[str, tuple[str, type]] = {
    "Consumer.on_task_request": (STRATEGY, Consumer),
    "Consumer.pool": (STRATEGY, Consumer),
    "Consumer.hostname": (STRATEGY, Consumer),
    "Consumer.connection_errors": (STRATEGY, Consumer),
    "Consumer.event_dispatcher": (STRATEGY, Events),
    "WorkController.options": (LIFECYCLE, WorkController),
    "WorkController.pool_cls": (LIFECYCLE, WorkController),
    "BasePool.is_green": (LIFECYCLE, BasePool),
    "Task.Strategy": (TASKS, Task),
    "Task.Request": (STRATEGY, Task),
    "virtual.Transport._callbacks": (TRANSPORT, virtual.Transport),
    "virtual.Transport.channels": (TRANSPORT, virtual.Transport),
    "virtual.Channel._consumers": (TRANSPORT, virtual.Channel),
    "virtual.Channel.qos": (TRANSPORT, virtual.Channel),
    "virtual.Channel.QoS": (TRANSPORT, virtual.Channel),
    "virtual.Channel.Message": (TRANSPORT, virtual.Channel),
    "virtual.Channel.do_restore": (TRANSPORT, virtual.Channel),
    "virtual.Channel.supports_fanout": (TRANSPORT, virtual.Channel),
    "virtual.QoS.prefetch_count": (TRANSPORT, virtual.QoS),
    "virtual.QoS.restore_at_shutdown": (TRANSPORT, virtual.QoS),
    "kombu_redis.Channel.connection_class": (CONNECTION, kombu_redis.Channel),
    "kombu_redis.Channel.connection_class_ssl": (CONNECTION, kombu_redis.Channel),
    "kombu_redis.Transport.Channel": (CONNECTION, kombu_redis.Transport),
    "redis.ConnectionPool.connection_kwargs": (
        f"{SCRIPTS}, worker/store/revocations.py",
        redis.ConnectionPool,
    ),
    "redis.ConnectionPool.connection_class": (SCRIPTS, redis.ConnectionPool),
    "redis.Connection._sock": ("worker/store/arrivals.py, worker/store/scripts.py", redis.Connection),
    "aio.ConnectionPool.connection_class": ("tasks/clients.py", aio.ConnectionPool),
    "aio.Connection.is_connected": (CONNECTION, aio.Connection),
    "aio.Connection.socket_timeout": (CONNECTION, aio.Connection),
    "redis.client.PubSub.connection": ("tasks/reading/sources.py", redis.client.PubSub),
    "HttpToolsProtocol.connections": (ASGI, HttpToolsProtocol),
    "HttpToolsProtocol.cycle": (ASGI, HttpToolsProtocol),
    "HttpToolsProtocol.loop": (ASGI, HttpToolsProtocol),
    "HttpToolsProtocol.timeout_keep_alive_task": (ASGI, HttpToolsProtocol),
    "HttpToolsProtocol.transport": (ASGI, HttpToolsProtocol),
    "RequestResponseCycle.response_complete": (ASGI, RequestResponseCycle),
    "HTTPConnectionPool.ConnectionCls": (CONNECTOR, urllib3.HTTPConnectionPool),
    "HTTPConnectionPool.conn_kw": (CONNECTOR, urllib3.HTTPConnectionPool),
    "HTTPConnectionPool.proxy": (CONNECTOR, urllib3.HTTPConnectionPool),
    "HTTPConnectionPool.proxy_headers": (CONNECTOR, urllib3.HTTPConnectionPool),
    "HTTPConnection.sock": (CONNECTOR, HTTPConnection),
    "http.client.HTTPConnection.sock": (FETCHING, http.client.HTTPConnection),
    "http.client.HTTPConnection.response_class": (BOUNDED, http.client.HTTPConnection),
    "http.client.HTTPResponse.fp": (BOUNDED, http.client.HTTPResponse),
    "PoolManager.pool_classes_by_scheme": (CONNECTOR, urllib3.PoolManager),
    "http.client.HTTPResponse.length": (FETCHING, http.client.HTTPResponse),
}
"""By name: who needs it, and the class that has it, or whose code sets it."""


@pytest.mark.parametrize("name", CALLS)
def test_it_can_be_called_as_we_do(name: str) -> None:
    """It takes as many arguments by place, and these by name."""
    needed_by, function, positional, named = CALLS[name]
    signature = inspect.signature(function)
    try:
        signature.bind_partial(*[None] * positional, **dict.fromkeys(named))
    except TypeError as error:
        pytest.fail(f"{needed_by} relies on {name}, which has changed: {error}; it is {name}{signature} now")


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_it_is_there(name: str) -> None:
    """As an attribute of the class, or one that its code gives to an object."""
    needed_by, owner = ATTRIBUTES[name]
    attribute = name.rpartition(".")[2]
    if not hasattr(owner, attribute) and not is_set_by(owner, attribute):
        pytest.fail(f"{needed_by} relies on {name}, which is not there any more")


def is_set_by(owner: type, attribute: str) -> bool:
    """Whether a method of the class gives an object this attribute."""
    methods = [each for parent in owner.__mro__ for each in vars(parent).values() if inspect.isfunction(each)]
    steps = (step for method in methods for step in dis.get_instructions(method))
    return any(step.opname == "STORE_ATTR" and step.argval == attribute for step in steps)


def test_what_is_not_there_is_missed() -> None:
    """The look itself finds what is there, and nothing else."""
    assert is_set_by(Consumer, "on_task_request")
    assert not is_set_by(Consumer, "on_task_request_of_another_version")


def test_a_worker_stops_when_its_state_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """worker/celery_adapter/lifecycle.py: `state.should_stop` is what Celery's own SIGTERM handler sets."""
    monkeypatch.setattr(state, "should_stop", 0)
    with pytest.raises(celery.exceptions.WorkerShutdown):
        state.maybe_shutdown()


def test_celery_asks_for_its_signal_handlers_after_the_worker_was_introduced() -> None:
    """worker/celery_adapter/lifecycle.py: `celeryd_init` comes first, with the worker; it is asked then."""
    introduced, started = inspect.getsource(Worker.on_before_init), inspect.getsource(Worker.on_start)
    assert "signals.celeryd_init.send" in introduced
    assert "instance=self" in introduced
    assert "self.install_platform_tweaks(self)" in started


def test_the_prefork_pool_is_known_by_its_module() -> None:
    """worker/celery_adapter/lifecycle.py tells it so."""
    assert TaskPool.__module__.rpartition(".")[2] == "prefork"


def test_a_request_takes_checked_arguments_as_they_are() -> None:
    """worker/celery_adapter/strategy.py: `decoded` hands `body` on without reading it again."""
    message = Mock(headers={"id": "a-job", "task": TASK_NAME}, body=b"no JSON")
    body: tuple[Any, ...] = ((["payload"], {}), {}, {})
    made = request.Request(message, app=Mock(), task=Mock(), body=body, headers=message.headers, decoded=True)
    assert made._payload is body


def test_kombu_takes_a_transport_by_an_alias_and_its_features() -> None:
    """worker/celery_adapter/config.py and worker/celery_adapter/transport.py."""
    assert isinstance(TRANSPORT_ALIASES, dict)
    extended = base.Transport.implements.extend(asynchronous=False, heartbeats=False)
    assert (extended.asynchronous, extended.heartbeats) == (False, False)


def test_hiredis_packs_what_a_script_is_given() -> None:
    """worker/store/scripts.py: text, bytes and numbers, as one command in Redis's protocol."""
    packed = hiredis.pack_command(("EVALSHA", b"\x00", 2, 0.5))  # type: ignore[arg-type]
    assert packed == b"*4\r\n$7\r\nEVALSHA\r\n$1\r\n\x00\r\n$1\r\n2\r\n$3\r\n0.5\r\n"


def test_redis_py_takes_its_words_off_an_error() -> None:
    """tasks/connection.py and worker/store/redis_wait.py: the word is the error's `status_code` then."""
    parse_error: Any = redis._parsers.BaseParser.parse_error
    error = parse_error("READONLY You can't write against a read only replica.")
    assert (error.status_code, "READONLY" in str(error)) == ("READONLY", False)


def test_urllib3_reads_the_end_of_tls_within_tls_as_0() -> None:
    """worker/vendor/connection.py takes whatever is false for the end: urllib3 gives 0, not empty bytes."""
    assert "return 0" in inspect.getsource(SSLTransport._wrap_ssl_read)


def test_celery_knows_all_apps_of_a_process() -> None:
    """tasks/eager.py looks at their configuration."""
    with celery.Celery("shop", set_as_current=False) as app:
        assert app in celery._state._get_active_apps()


@pytest.mark.parametrize(
    "module",
    ["celery.worker.strategy", "celery.app.trace", "kombu.connection", "celery.worker.consumer.connection"],
)
def test_the_loggers_that_are_silenced_are_there(module: str) -> None:
    """worker/observability/logs.py knows them by name."""
    assert import_module(module).logger.name == module
