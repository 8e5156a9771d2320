"""Whether an answer is that to an earlier request on the same connection.

HTTP/1.1 numbers neither requests nor answers: what a gateway sends a second time, late, is read as the
answer to what is asked next. Only what surely is another's is told here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from worker.domain.envelope import may_tell_a_purchase

REMEMBERED: Final = 4
"""Requests of a connection that are remembered."""

Earlier = tuple[str, bytes, int]
"""Of a request that was answered: its id, what was sent, and the hash of the answer, which may be long."""


def is_foreign(answer: bytes, echoed: Sequence[str], this: Earlier, earlier: Iterable[Earlier]) -> bool:
    """Whether this answers one of the earlier requests, and not the last one.

    It does where it carries the id of one of them; or where it is an acceptance, to the byte that of another
    job: each task has an id of its own.

    Args:
        echoed: request ids that the answer's head carries, in lower case.
        this: the request that waits for an answer, and the answer that came.
    """
    request_id, sent, answered = this
    if echoed and request_id in echoed:
        return False
    # Written out: for each job that is all it costs.
    for its_id, its_sent, its_answered in earlier:
        if echoed and its_id in echoed:
            return True
        if its_answered == answered and its_sent != sent and may_tell_a_purchase(answer):
            return True
    return False
