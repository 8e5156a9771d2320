"""An answer that is surely another request's is told from one that may be right."""

from __future__ import annotations

import pytest

from worker.vendor.foreign import is_foreign


@pytest.mark.parametrize(
    ("echoed", "foreign"),
    [
        ((), False),
        (("id-2",), True),
        (("the server's own", "id-1"), True),
        (("the server's own",), False),
        (("id-3",), False),
        (("id-3", "id-1"), False),
    ],
    ids=[
        "no id",
        "an earlier id",
        "an earlier id beside another",
        "an id of the server's own",
        "its own id",
        "both",
    ],
)
def test_only_what_surely_is_anothers_is_foreign(echoed: tuple[str, ...], foreign: bool) -> None:
    """By the request ids that the answer carries."""
    assert is_foreign(echoed, "id-3", ["id-1", "id-2"]) is foreign
