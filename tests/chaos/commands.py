"""What a command to Redis is called: its own name, and where it runs a script of ours, the script's."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1
from importlib import resources

_INCLUDE = re.compile(r"^--#include .*$", re.MULTILINE)


@cache
def lua_texts() -> dict[str, str]:
    """What each script says itself, after all that it includes; by the name of its file."""
    files = resources.files("worker.store").joinpath("lua").iterdir()
    texts = {file.name.removesuffix(".lua"): file.read_text("utf-8") for file in files}
    return {name: _INCLUDE.split(text)[-1].strip() for name, text in texts.items() if name[0] != "_"}


def script_of(source: str) -> str | None:
    """The name of the script that ends so, whatever was put before it; None for one that is not ours."""
    found = [name for name, text in lua_texts().items() if text in source]
    return max(found, key=lambda name: len(lua_texts()[name]), default=None)


class Names:
    """The names of commands, learnt from the scripts that were loaded.

    Attributes:
        unknown: digests that were run and never loaded before our eyes, or are of no file of ours.
    """

    def __init__(self) -> None:
        self._scripts: dict[str, str] = {}
        self.unknown: set[str] = set()

    def learn(self, words: list[bytes]) -> None:
        """Note which script a SCRIPT LOAD loads."""
        if len(words) == 3 and words[0].upper() == b"SCRIPT" and words[1].upper() == b"LOAD":
            self._learn(words[2])

    def _learn(self, source: bytes) -> str:
        digest = sha1(source, usedforsecurity=False).hexdigest()
        if name := script_of(source.decode("utf-8", "replace")):
            self._scripts[digest] = name
        return digest

    def of(self, words: list[bytes]) -> tuple[str, str | None]:
        """The command's name in lower case, and its script's."""
        name = words[0].decode("latin-1").lower() if words else ""
        if len(words) < 2 or name not in ("evalsha", "eval", "evalsha_ro", "eval_ro"):
            return name, None
        digest = words[1].decode("latin-1").lower() if "sha" in name else self._learn(words[1])
        # The self-test asks for a script that there is not, of zeros, to learn whether it may ask.
        if digest not in self._scripts and digest.strip("0"):
            self.unknown.add(digest)
        return name, self._scripts.get(digest)
