"""The command `aigc`, by a name that nobody else's module has.

`tasks` and `worker` are names that many programs have for modules of their own. Here they are this
distribution's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Final

OWN: Final = ("tasks", "worker")
INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as shells have it."""
_WHERE: Final = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


class OwnPackages:
    """A finder, for `sys.meta_path`: `tasks` and `worker` are those beside this package."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Importlib's hook: None for all other modules."""
        return PathFinder.find_spec(fullname, [_WHERE]) if fullname in OWN else None


def claim_names() -> None:
    """From now on `import tasks` and `import worker` find this distribution's packages in this process.

    Raises:
        ImportError: the process has loaded something else by such a name already.
    """
    for name in OWN:
        file = getattr(sys.modules.get(name), "__file__", None) or "of no file"
        if name in sys.modules and os.path.realpath(file) != os.path.join(_WHERE, name, "__init__.py"):
            raise ImportError(
                f"this process has loaded another module that is called {name}, {file}: run the worker by"
                " itself, with `aigc worker`; a program that only queues jobs imports `aigc`"
            )
    if not any(isinstance(finder, OwnPackages) for finder in sys.meta_path):
        sys.meta_path.insert(0, OwnPackages())


def look_last_where_others_are() -> None:
    """Put the working directory and PYTHONPATH behind what is installed: a `redis.py` there is no library.

    They stay on `sys.path`: what is installed nowhere else is found there all the same.
    """
    others = {os.getcwd(), *map(os.path.abspath, os.environ.get("PYTHONPATH", "").split(os.pathsep))}
    sys.path.sort(key=lambda entry: os.path.abspath(entry) in others)


def main() -> None:
    """Entry point of the script `aigc`."""
    look_last_where_others_are()
    claim_names()
    try:
        from worker.cli import main
    except KeyboardInterrupt:  # importing takes half a second, and click is not there yet to catch it
        sys.exit(INTERRUPTED)
    main()
