"""Whether an answer is that to an earlier request on the same connection.

HTTP/1.1 numbers neither requests nor answers: what a gateway sends a second time, late, is read as the
answer to what is asked next. Only what surely is another's is told here, by the request ids that it carries.
Two jobs with one task id would be a sign, too; but a vendor's stand-in in a shop's tests gives all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

REMEMBERED: Final = 4
"""Requests of a connection that are remembered."""


def is_foreign(echoed: Sequence[str], request_id: str, earlier: Iterable[str]) -> bool:
    """Whether an answer is that to one of the earlier requests, and not to this one.

    Args:
        echoed: request ids that the answer's head carries, in lower case.
        earlier: ids of the requests before it on the connection.
    """
    return request_id not in echoed and any(each in echoed for each in earlier)
