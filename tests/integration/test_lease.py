"""Leases: one process has one at a time, and what becomes of that of a process that is gone."""

from __future__ import annotations

from tests.conditions import until
from tests.redis_server import RedisServer
from worker.store.lease import Lease


def test_one_has_it_until_it_lets_go(redis_server: RedisServer) -> None:
    """Then another has it at once; who has lost it does not take it away again by letting go."""
    client = redis_server.client()
    first, second = Lease(client, "lease"), Lease(client, "lease")
    assert first.acquire()
    assert not second.acquire()
    assert (first.left_s() > 20, second.left_s()) == (True, 0)
    assert first.acquire()
    first.release()
    assert first.left_s() == 0
    assert second.acquire()
    first.release()
    assert not first.acquire()


def test_one_that_is_not_renewed_runs_out(redis_server: RedisServer) -> None:
    """For who had it as for others: a process that was frozen knows that it has it no more."""
    client = redis_server.client()
    frozen, other = Lease(client, "lease", seconds=0.5), Lease(client, "lease")
    frozen.token = "other-boot/1/0/1/1/abcd"  # of another machine, so nobody here can tell whether it lives
    assert frozen.acquire()
    assert not other.acquire()
    until(other.acquire, "it to run out")
    assert frozen.left_s() == 0
    assert not frozen.acquire()


def test_that_of_a_process_that_is_gone_is_taken_at_once(redis_server: RedisServer) -> None:
    """Where it lived on this machine."""
    client = redis_server.client()
    lease = Lease(client, "lease")
    boot, namespace, user, *_ = lease.token.split("/")
    client.set("lease", f"{boot}/{namespace}/{user}/4194305/1/gone", px=60_000)
    assert lease.acquire()
