"""Regular expressions of schemas, matched in bounded time.

Python's own engine tries again from each place: a pattern such as `(a+)+$` and a customer's text of forty
letters would hold up a producer, or a worker and all of its jobs, for years. pydantic brings an engine
without that, which for it lacks look-around and backreferences. It writes counted repetitions out, so their
product is bounded here, and the text is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pydantic_core import SchemaError, SchemaValidator, core_schema

PATTERN_MAX_CHARS: Final = 1000
TEXT_MAX_CHARS: Final = 10_000
"""Of a text that is matched: the longest one and the largest pattern together take a fifth of a second."""

_SIZE_MAX: Final = 1000
_TOKEN: Final = re.compile(
    r"(?P<atom>\\[pPxu]\{[^}]*\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\])|\{(?P<least>\d*),?(?P<most>\d*)\}|.",
    re.DOTALL,
)


def pattern_fault(pattern: str) -> str | None:
    """What a pattern must be instead; None where it can be used."""
    if len(pattern) > PATTERN_MAX_CHARS:
        return f"must be at most {PATTERN_MAX_CHARS} characters"
    try:
        _engine(pattern)
    except SchemaError as error:
        reason = str(error).strip().splitlines()[-1].rpartition("rror: ")[2]
        return f"must be a regular expression without look-around and backreferences ({reason})"
    if _size(pattern) > _SIZE_MAX:
        return f"must have at most {_SIZE_MAX} parts, with its repetitions written out"
    return None


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text, which must be free of halves of surrogate pairs."""
    return len(text) <= TEXT_MAX_CHARS and _engine(pattern).isinstance_python(text)


@lru_cache(maxsize=1000)
def _engine(pattern: str) -> SchemaValidator:
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex", strict=True))


def _size(pattern: str) -> int:
    """About how many parts a right pattern has, one in {n} counted n times."""
    open_groups, last = [0], 0
    for token in _TOKEN.finditer(pattern):
        if token[0] == "(":
            open_groups.append(0)
        elif token[0] == ")" and len(open_groups) > 1:
            last = open_groups.pop()
            open_groups[-1] += last
        elif token["least"] is not None:
            count = max(1, int(token["most"] or token["least"] or 1))
            open_groups[-1] += last * (count - 1)
            last *= count
        else:
            last = 1
            open_groups[-1] += 1
    return open_groups[0]
