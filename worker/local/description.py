"""How this process introduces itself to operators: machine, Celery node name, version, scripts, workflows."""

from __future__ import annotations

import contextlib
import json
import socket
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

FIELDS: Final = ("host", "node", "version", "scripts", "workflows")

_node: str | None = None
_workflows: str = ""
_scripts: str | None = None


def note_node_name(name: str) -> None:
    """What Celery calls the worker that this process, or its parent, is."""
    global _node
    _node = name


def note_workflows(digest: str) -> None:
    """By which digest the workflows go that this process was declared; empty where there is no file."""
    global _workflows
    _workflows = digest


def note_scripts(digest: str) -> None:
    """By which digest this process's scripts in Redis go: two builds of one version may differ in them."""
    global _scripts
    _scripts = digest


def mine() -> str:
    """This process's description, as JSON."""
    about = {
        "host": socket.gethostname(),
        "node": _node,
        "version": own_version(),
        "scripts": _scripts,
        "workflows": _workflows,
    }
    return json.dumps(about)


def read(text: bytes | None) -> dict[str, str | None]:
    """The fields of a description, each None where it is not known: earlier versions write none."""
    found: Any = None
    with contextlib.suppress(ValueError):
        found = json.loads(text or b"{}")
    given = found if isinstance(found, dict) else {}
    return {name: given[name] if isinstance(given.get(name), str) else None for name in FIELDS}


@cache
def own_version() -> str | None:
    """The version of the distribution; None where it runs without being installed."""
    with contextlib.suppress(PackageNotFoundError):
        return version("aigc-worker")
    return None
