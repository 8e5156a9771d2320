"""This package is installed as `tasks` and as `aigc`: two names, the same modules.

A program of a shop often has a `tasks.py` of its own, Celery's tutorial has: then `aigc` is the name to
import. Hence the relative imports of this package, and no module of it may count on being called `tasks`.
Where a program uses both names they stand for the same modules, so that `except tasks.InvalidPayload`
catches what `aigc.submit` raises, and there is one configuration and one connection.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Final

_NAMES: Final = ("tasks", "aigc")


class SameModules:
    """A finder, for `sys.meta_path`: the modules below one package are those below another.

    Args:
        name, other: the packages' names. The other one's modules are loaded where they are not yet.
    """

    def __init__(self, name: str, other: str) -> None:
        self._prefix, self._other = f"{name}.", f"{other}."

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Importlib's hook: None for what is of no concern here, or is not there."""
        if not fullname.startswith(self._prefix) or find_spec(self._same(fullname)) is None:
            return None
        return ModuleSpec(fullname, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Importlib's hook: an empty module, which `exec_module` replaces."""

    def exec_module(self, module: ModuleType) -> None:
        """Importlib's hook; it gives the importer what stands in `sys.modules` afterwards."""
        sys.modules[module.__name__] = import_module(self._same(module.__name__))

    def _same(self, fullname: str) -> str:
        return self._other + fullname.removeprefix(self._prefix)


def _share(name: str) -> None:
    """Where this package is loaded already by its other name, take its modules."""
    (other,) = set(_NAMES) - {name}
    # A shop's own `tasks` has no such module.
    if f"{other}.{__name__.rpartition('.')[2]}" in sys.modules:
        sys.meta_path.insert(0, SameModules(name, other))


_share(str(__package__))
