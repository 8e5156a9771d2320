"""A hundred thousand open tasks: they are in Redis alone, and a worker has no more to hold for them."""

from __future__ import annotations

from pathlib import Path

from tasks.contract import DEFAULT_QUEUE
from tests.conditions import until
from tests.integration.followed import follows
from tests.integration.stage import staged
from tests.redis_server import RedisServer
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.tasks import TaskStore

MANY = 100_000
KEYS = KeyNames(DEFAULT_QUEUE, "aigc:results", "aigc:outputs")
FILL = """
for number = 1, ARGV[2] do
  local id = 'task-' .. number
  redis.call('HSET', ARGV[1] .. ':task:' .. id, 'a', ARGV[3], 'd', ARGV[4], 'm', '{}', 'w', 'TEXT2IMAGE')
  redis.call('ZADD', ARGV[1] .. ':tasks:accepted', ARGV[3], id)
  redis.call('ZADD', ARGV[1] .. ':tasks:open', number, id)
end
"""
"""Tasks that are all due; the vendor knows none of them."""

MEMORY_MAX_KB = 12_000
"""What a worker may grow by, for threads and connections; tasks of 1 KB each would be 100,000 KB."""

COMMANDS_MAX = 8
"""Of Redis's for each task that is leased, and as many for the look."""


def fill(server: RedisServer) -> None:
    now_ms = int(server.client().time()[0]) * 1000
    server.client().eval(FILL, 0, DEFAULT_QUEUE, MANY, now_ms, now_ms + 86_400_000)


def resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def test_a_workers_memory_is_the_same_with_many_open_tasks(redis_server: RedisServer) -> None:
    """While it asks about those that are due."""
    with staged(redis_server) as stage:
        worker = follows(stage)
        until(lambda: stage.redis.exists(KEYS.task_deadline), "a look of the worker")
        before = resident_kb(worker.process.pid)
        fill(redis_server)
        until(lambda: stage.vendor.get("stats")["queries"] >= 300, "queries")
        assert resident_kb(worker.process.pid) - before < MEMORY_MAX_KB
        assert stage.redis.zcard(KEYS.open_tasks) == MANY


def test_a_look_costs_the_same_with_many_open_tasks(redis_server: RedisServer) -> None:
    """In Redis's commands, of which each sees no more tasks than are leased."""
    fill(redis_server)
    scripts = Scripts(redis_server.url, (KEYS.queue, KEYS.results), connections=2)
    tasks = TaskStore(scripts, KEYS, interval_s=0.001, deadline_s=60, keep_s=100, maxlen=100)
    tasks.take(1, 60)
    client = redis_server.client()
    client.config_resetstat()
    taken = tasks.take(16, 60)
    found = client.info("commandstats")
    calls = sum(int(each["calls"]) for name, each in found.items() if name != "cmdstat_config|resetstat")
    assert len(taken.tasks) == 16
    assert calls <= COMMANDS_MAX * 16 + COMMANDS_MAX
    scripts.close()
