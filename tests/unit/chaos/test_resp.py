"""The proxy's reading of Redis's protocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos import resp

COMMANDS = st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=5), min_size=1, max_size=4)
REPLIES = (
    b"+OK\r\n",
    b"-WRONGTYPE no\r\n",
    b":42\r\n",
    b"$-1\r\n",
    b"$0\r\n\r\n",
    b"$4\r\na\r\nb\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*3\r\n:1\r\n*2\r\n$1\r\nx\r\n$-1\r\n-ERR\r\n",
    b"%1\r\n+key\r\n*1\r\n:7\r\n",
)


@given(COMMANDS, st.integers(min_value=0))
def test_commands_are_read_one_after_another(commands: list[list[bytes]], cut: int) -> None:
    """Whatever is in them, and wherever the bytes that have come so far end."""
    data = b"".join(resp.encoded(words) for words in commands)
    data = data[: cut % (len(data) + 1)]
    found, at = [], 0
    while (read := resp.command(data, at)) is not None:
        words, at = read
        found.append(words)
    assert found == commands[: len(found)]
    assert at == sum(len(resp.encoded(words)) for words in found)
    assert len(found) == len(commands) or len(data) < at + len(resp.encoded(commands[len(found)]))


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_ends_where_it_ends(reply: bytes) -> None:
    """Not before all of it is there, and whatever follows."""
    assert all(resp.reply_end(reply[:length]) is None for length in range(len(reply)))
    assert resp.reply_end(reply) == resp.reply_end(reply + b":1\r\n") == len(reply)
    assert resp.reply_end(b":1\r\n" + reply, 4) == 4 + len(reply)


@pytest.mark.parametrize("data", [b"PING\r\n", b"$1\r\nx\r\n", b"*1\r\n:1\r\n", b"*x\r\n"])
def test_what_is_no_command_is_said_to_be_none(data: bytes) -> None:
    """Clients of Redis send arrays of bulk strings, and nothing else."""
    with pytest.raises(resp.NotResp):
        resp.command(data)


@pytest.mark.parametrize("data", [b"what?\r\n", b"$x\r\n"])
def test_what_is_no_reply_is_said_to_be_none(data: bytes) -> None:
    """Redis would not say it."""
    with pytest.raises(resp.NotResp):
        resp.reply_end(data)
