"""The texts of the Lua scripts, with what each of them needs put before it.

What Python and Lua must agree on (the names of keys and of a record's fields, the states in which a job has
ended) is written down in Python only; a script says ``keys.sending``, ``field.state``, ``has_ended(state)``.
Who holds a dedupe key is told by the producers' own Lua: ``holder_of``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Final

from tasks.batch_store.moves import MOVES
from tasks.dedupe import HOLDER
from worker.store.keys import lua_keys, lua_lists, lua_lists_read_as
from worker.store.metric_fields import lua_measures
from worker.store.record import lua_fields
from worker.store.task_record import lua_task_fields

_INCLUDE: Final = re.compile(r"^--#include ([\w.]+)$", re.MULTILINE)
_WORD: Final = re.compile(r"(?:(?:keys|field|task_field)\.)?\w+")
_TABLES: Final[dict[str, Callable[[], str]]] = {
    "lists": lua_lists,
    "lists_read_as": lua_lists_read_as,
    "job_bounds": lua_measures,
    "holder_of": lambda: HOLDER,
}
_SHARED: Final = {"tasks.batch_store": MOVES}
"""What producers run as well."""


@cache
def source(name: str) -> str:
    """A script's text, complete.

    Raises:
        KeyError: it names a key or a field that there is not.
    """
    text = _with_includes(name)
    code = text
    for shared in _SHARED.values():
        code = code.replace(shared, "")  # it makes its own
    code = re.sub(r"--.*", "", code)
    words = set(_WORD.findall(code))
    keys, fields, of_tasks = (_after(f"{table}.", words) for table in ("keys", "field", "task_field"))
    lists = "".join(make() for word, make in _TABLES.items() if word in words)
    legends = lua_fields(fields) + (lua_task_fields(of_tasks) if of_tasks else "")
    return lua_keys(keys) + lists + legends + text


def _after(table: str, words: set[str]) -> list[str]:
    """What is named of a table: ``state`` for ``field.state``."""
    return sorted(word.removeprefix(table) for word in words if word.startswith(table))


def _with_includes(name: str) -> str:
    """A file's text, with what it includes in place."""
    if name in _SHARED:
        return _SHARED[name]
    text = resources.files(__package__).joinpath("lua", f"{name}.lua").read_text("utf-8")
    return _INCLUDE.sub(lambda included: _with_includes(included[1]), text)


def digest(names: Iterable[str]) -> str:
    """What tells these scripts from those of another version: 12 hexadecimal digits."""
    texts = "\0".join(source(name) for name in sorted(names))
    return sha256(texts.encode()).hexdigest()[:12]
