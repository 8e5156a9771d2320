"""Starts worker processes by forking one that has imported already what every worker imports.

Most of what a worker's start costs is the import of Celery and of what hangs on it: the tests start hundreds.
A fork becomes a worker as the command ``python -m celery`` does: by the same module, with arguments,
environment, directory, signals, output and session of its own. What else differs is that it was not
executed; the tests of `aigc worker`, of Compose and of file descriptors start theirs by their commands.

Run as ``python -m tests.fork_server DESCRIPTOR``, the descriptor of a socket on which the orders come; see
`tests.forked`, which speaks to it.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import time
from importlib import import_module
from typing import Any, Final

PRELOADED: Final = (
    "celery.app.amqp", "celery.app.control", "celery.app.events", "celery.app.log", "celery.app.trace",
    "celery.apps.worker", "celery.backends.base", "celery.bin.celery", "celery.concurrency.prefork",
    "celery.concurrency.thread", "celery.events", "celery.fixups.django", "celery.worker.autoscale",
    "celery.worker.components", "celery.worker.consumer", "celery.worker.consumer.delayed_delivery",
    "celery.worker.strategy", "celery.worker.worker", "click_repl", "fsspec", "httptools", "imagesize",
    "kombu.transport.redis", "pydantic._internal._generate_schema", "pydantic.json_schema",
    "pydantic.main", "pydantic.plugin._schema_validator", "pydantic.types", "requests", "tasks",
    "worker.config.settings", "worker.fetching", "worker.store.jobs", "worker.store.queue",
    "worker.store.recovery", "worker.vendor", "xml.etree.ElementTree",
)  # fmt: skip
"""None of these starts a thread or opens anything when it is imported. Not all of ours is here:
`worker.local.prefork` shares memory with children to come, as each worker has to do for itself."""

LONGEST_ORDER: Final = 1 << 18


def main() -> None:
    """Serve orders until nobody can send any more; in a fork, become what was ordered."""
    for module in PRELOADED:
        import_module(module)
    gc.collect()
    gc.freeze()  # what is shared stays shared: a collection in a fork would copy all of it
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        order = _serve(orders)
    if order:
        _become(order)


def _serve(orders: socket.socket) -> dict[str, Any] | None:
    """Fork for each order, and answer with the fork's process id; returns the order in the fork."""
    while data := orders.recv(LONGEST_ORDER):
        pid = _fork_for_good()
        if pid == 0:
            order: dict[str, Any] = json.loads(data)
            return order
        orders.send(b"%d" % pid)
    return None


def _fork_for_good() -> int:
    """Fork a process that is not ours but our orderer's, the next one above that adopts orphans."""
    reader, writer = os.pipe()
    between = os.fork()
    if between == 0:
        if os.fork():
            os._exit(0)
        os.setsid()
        os.write(writer, b"%d" % os.getpid())
    else:
        os.waitpid(between, 0)
    os.close(writer)
    pid = int(os.read(reader, 32)) if between else 0
    os.close(reader)
    return pid


def _become(order: dict[str, Any]) -> None:
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])
    tempfile.tempdir = None
    time.tzset()
    _inherit_ignored(set(order["ignored"]))
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)
    sys.argv = ["celery", *order["arguments"]]
    runpy.run_module("celery", run_name="__main__", alter_sys=True)


def _inherit_ignored(ignored: set[int]) -> None:
    """Ignore the signals that whoever ordered this ignores; a program that is executed inherits that."""
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"):
        number = signal.Signals[name]
        usual = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in ignored else usual)


if __name__ == "__main__":
    main()
