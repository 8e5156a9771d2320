"""Texts of pages and files, with what stands on this machine for what stands there."""

from __future__ import annotations

import re
from collections.abc import Mapping


def substituted(text: str, instead: Mapping[str, str]) -> str:
    """The text with something else for each of these words, which are numbers only where they are whole.

    In one pass: what was put in is left as it is, though a word of another may stand in it, as a port of the
    page in a random name. Of two words at one place the longer one is meant.
    """
    if not instead:
        return text
    longest = sorted(instead, key=len, reverse=True)
    words = (rf"(?<!\d){word}(?!\d)" if word.isdigit() else re.escape(word) for word in longest)
    return re.sub("|".join(words), lambda found: instead[found[0]], text)
