"""An answer that is surely another request's is told from one that may be right."""

from __future__ import annotations

import pytest

from worker.vendor.foreign import is_foreign

ACCEPTED = b'{"success":true,"model":"task-1"}'
FAILED = b'{"success":false,"errorCode":"INTCNN_COMMON_SYS_ERROR"}'
EARLIER = [("id-1", b"1", hash(ACCEPTED)), ("id-2", b"2", hash(FAILED))]


@pytest.mark.parametrize(
    ("answer", "sent", "echoed", "foreign"),
    [
        (ACCEPTED, b"3", (), True),
        (ACCEPTED, b"1", (), False),
        (FAILED, b"3", (), False),
        (b"another", b"3", (), False),
        (b"another", b"3", ("id-2",), True),
        (b"another", b"3", ("the server's own", "id-1"), True),
        (b"another", b"3", ("the server's own",), False),
        (ACCEPTED, b"3", ("id-3",), False),
    ],
    ids=[
        "another payload's task",
        "the same payload's task",
        "another's failure in the same words",
        "nothing alike",
        "an earlier id",
        "an earlier id beside another",
        "an id of the server's own",
        "its own id",
    ],
)
def test_only_what_surely_is_anothers_is_foreign(
    answer: bytes, sent: bytes, echoed: tuple[str, ...], foreign: bool
) -> None:
    """By the request id that the answer carries, else by a task that another payload was given."""
    assert is_foreign(answer, echoed, ("id-3", sent, hash(answer)), EARLIER) is foreign
