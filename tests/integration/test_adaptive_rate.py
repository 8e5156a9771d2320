"""The adaptive rate is computed in Lua for claims, and in Python for `aigc status`: both say the same."""

from __future__ import annotations

from importlib import resources
from itertools import product
from typing import Any

from tests.redis_server import RedisServer
from worker.store.stats import current_rate

LUA = resources.files("worker.store").joinpath("lua", "_adaptive_rate.lua").read_text("utf-8")
CALL = (
    "return string.format('%.6f', current_rate(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1', ARGV[6]))"
)


def test_lua_and_python_agree(redis_server: RedisServer) -> None:
    """Held or growing, evenly or doubling, however long ago, and where the clock was set back."""
    client: Any = redis_server.client()
    now = 1_700_000_000_000
    for held, doubles, grows, ago_ms in product((0, 1), (0, 1), ("0.5", "2"), (-5000, 0, 1234, 60_000)):
        since = now - ago_ms
        stored = {
            b"rate": b"12.5",
            b"since": b"%d" % since,
            b"doubles": b"%d" % doubles,
            b"grows": grows.encode(),
        }
        if held:
            stored[b"held"] = b"1"
        answer = client.eval(f"{LUA}\n{CALL}", 0, "12.5", since, doubles, grows, held, now)
        assert float(answer) == round(current_rate(stored, now), 6)
