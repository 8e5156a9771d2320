"""A script of which one command is refused can be repeated, and comes to what it would have come to.

For each script, each command that it uses is taken from the worker's rights in turn. It is called, and
refused; called again, and refused again; the right is given back; it is called once more. Then all keys hold
what they hold after one undisturbed call, and the channel has carried the same.
"""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import pytest
import redis

from tasks.batch_store.scripts import Entry, close, enter
from tasks.contract import Status
from tasks.envelope import Job, encode
from tasks.result import Result
from tests.conditions import PATIENCE_S
from tests.integration.job_verbs import JobVerbs
from tests.integration.refused_tasks import TASK_GIVEN_UP, TASK_SCRIPTS, TASK_TIMES
from tests.integration.stage import CAT
from tests.redis_server import RedisServer
from worker.domain.outcome import OutcomeKind
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.sources import source
from worker.store.values import (
    Claim,
    ClaimVerdict,
    Delivery,
    Feedback,
    Republication,
    Reschedule,
    Settlement,
    SharedLimits,
)
from worker.store.workers import WorkerRegistry

KEYS: Final = KeyNames("aigc", "aigc:results", "aigc:outputs")
JOB: Final = Job("a-job", CAT, enqueued_ms=1)
TASK: Final = "task-1"
BATCHED: Final = replace(JOB, batch="a-batch")
LIMITS: Final = SharedLimits(breaker_after=3, interval_ms=0.001, max_inflight=100)
USER: Final = "worker"
END: Final = b"all that was published stands before this"

# Fields whose value is a time, or was drawn at random.
_TIMES: Final = {
    "e",
    "f",
    "z",
    "t",
    "a",
    "lost",
    "silent",
    "w",
    "since",
    "next",
    "from",
    "last",
    "until",
    "probing",
    "r",
    "m",
    "i",
    "jms|TEXT2IMAGE",
    *(f"\n:{name}" for name in ("started", "changed", "kept", "closed", "finished", "minute")),
}
_PASSING: Final = {"refusing", "clock", "rate", "tasks:rate", "tasks:deadline"}


class Effect(NamedTuple):
    """What a call comes to: all that is stored then, and what was published."""

    stored: dict[str, Any]
    published: list[bytes]


@dataclass
class Stage:
    """One worker, with rights that can be taken from it."""

    server: RedisServer
    admin: Any
    scripts: Scripts
    registry: WorkerRegistry
    job_store: JobVerbs
    owner: str = ""

    def hold(self, job: Job = JOB, tag: str = "1.7") -> Delivery:
        self.admin.hset(KEYS.unacked(self.owner), tag, encode(job, KEYS.queue))
        return Delivery(self.owner, tag, 1)

    def claim(self, job: Job = JOB, request_id: str = "") -> Claim:
        return self.job_store.claim(job, "TEXT2IMAGE", request_id or str(uuid.UUID(int=1)))


def ending(delivery: Delivery, claim: Claim, status: Status = "submitted") -> Settlement:
    task = TASK if status == "submitted" else None
    result = Result(
        JOB.id, status, task, "TEXT2IMAGE", "1.0.0", 1, claim.request_id, None, None, False, "now", {"a": 1}
    )
    works = status == "submitted"
    return Settlement(
        JOB, delivery, claim, result, OutcomeKind.ACCEPTED, Feedback(counted=True, vendor_works=works)
    )


def settling(status: Status) -> Callable[[Stage], Callable[[], object]]:
    def prepare(stage: Stage) -> Callable[[], object]:
        end = ending(stage.hold(), stage.claim(), status)
        return lambda: stage.job_store.settle(end)

    return prepare


def settling_one_with_callbacks(stage: Stage) -> Callable[[], object]:
    end = ending(replace(stage.hold(), linked=True), stage.claim(), "submitted")
    return lambda: stage.job_store.settle(end)


def following(stage: Stage) -> Callable[[], object]:
    settling_one_with_callbacks(stage)()
    return lambda: stage.scripts.run("follow", JOB.id, "callbacks", stage.owner, "1.7")


def following_what_another_follows(stage: Stage) -> Callable[[], object]:
    following(stage)()
    stage.hold(tag="1.8")
    return lambda: stage.scripts.run("follow", JOB.id, "callbacks", stage.owner, "1.8")


def having_followed_up(stage: Stage) -> Callable[[], object]:
    following(stage)()
    return lambda: stage.scripts.run("followed_up", JOB.id, "callbacks", stage.owner, "1.7")


def settling_what_was_unknown(stage: Stage) -> Callable[[], object]:
    delivery, claim = stage.hold(), stage.claim()
    stage.job_store.settle(ending(delivery, claim, "unknown"))
    stage.admin.hset(KEYS.job(JOB.id), "r", uuid.UUID(int=9).bytes)
    end = ending(delivery, claim, "submitted")
    return lambda: stage.job_store.settle(replace(end, late=True))


def rescheduling(stage: Stage) -> Callable[[], object]:
    delivery, claim = stage.hold(), stage.claim()
    later = Reschedule(JOB, delivery, claim, Feedback(True, False), 1, 0, False, 3600.0)
    return lambda: _written(stage, later)


def _written(stage: Stage, later: Reschedule) -> object:
    (written,), _ = stage.job_store.write([later])
    if isinstance(written, Exception):
        raise written
    return written


def looking_again(stage: Stage) -> Callable[[], object]:
    delivery = stage.hold()
    return lambda: stage.job_store.look_again(JOB, delivery, 3600.0)


def claiming(stage: Stage) -> Callable[[], object]:
    stage.hold()
    return stage.claim


def claiming_an_orphan(stage: Stage) -> Callable[[], object]:
    stage.claim()
    stage.admin.zrem(KEYS.workers, stage.owner)
    stage.registry.join()
    stage.owner = stage.registry.owner
    return lambda: stage.claim(request_id=str(uuid.UUID(int=2)))


def submitted_again(stage: Stage, status: Status) -> Job:
    """The job, with a later stamp, after it has ended so, long ago."""
    dead_lettered(stage, status)
    stage.admin.hset(KEYS.job(JOB.id), mapping={"z": 1000, "f": 1})
    return replace(JOB, enqueued_ms=2000)


def claiming_again(stage: Stage) -> Callable[[], object]:
    job = submitted_again(stage, "rejected")
    stage.hold(job)

    def claim() -> Claim:
        stage.admin.delete(KEYS.refusing)  # for some seconds after a refusal nothing is sent
        return stage.claim(job, str(uuid.UUID(int=2)))

    return claim


def refusing_again(stage: Stage) -> Callable[[], object]:
    job = submitted_again(stage, "exhausted")
    claim = Claim(ClaimVerdict.GO, 0, 0, False, 0.0, 0.0, 0, stage.owner, str(uuid.UUID(int=2)))
    end = ending(stage.hold(job), claim, "rejected")
    feedback = Feedback(counted=False, vendor_works=None)
    return lambda: stage.job_store.settle(replace(end, job=job, claim=None, feedback=feedback))


def republishing(stage: Stage) -> Callable[[], object]:
    job = submitted_again(stage, "submitted")
    end = ending(stage.hold(job), stage.claim(job))
    return lambda: stage.job_store.store.write_one(Republication(job, end.delivery, end.result))


def looking_again_after_the_end(stage: Stage) -> Callable[[], object]:
    job = submitted_again(stage, "rejected")
    delivery = stage.hold(job)
    return lambda: stage.job_store.look_again(job, delivery, 3600.0)


def scarce(stage: Stage, slots: int = 1) -> JobVerbs:
    """The journal of the same worker where so few attempts may be in flight."""
    return JobVerbs(stage.scripts, KEYS, stage.registry, replace(LIMITS, max_inflight=slots))


def claiming_in_vain(stage: Stage) -> Callable[[], object]:
    stage.claim(Job("another", CAT, enqueued_ms=1))
    stage.hold()
    return lambda: scarce(stage).claim(JOB, "TEXT2IMAGE", str(uuid.UUID(int=2)))


def claiming_in_turn(stage: Stage) -> Callable[[], object]:
    claiming_in_vain(stage)()
    return lambda: scarce(stage, 2).claim(JOB, "TEXT2IMAGE", str(uuid.UUID(int=2)))


def settling_what_others_wait_for(stage: Stage) -> Callable[[], object]:
    claim = stage.claim()
    end, waits = ending(stage.hold(), claim), WorkerRegistry(stage.scripts, KEYS)
    waits.identity = stage.registry.identity
    waits.join()
    limits = replace(LIMITS, max_inflight=1)
    other = Job("another", CAT, enqueued_ms=1)
    JobVerbs(stage.scripts, KEYS, waits, limits).claim(other, "TEXT2IMAGE", str(uuid.UUID(int=2)))
    return lambda: scarce(stage).settle(end)


def withdrawing(stage: Stage) -> Callable[[], object]:
    claim = stage.claim()
    packed = uuid.UUID(claim.request_id).bytes
    return lambda: stage.scripts.run("withdraw", JOB.id, stage.owner, packed)


def taking(stage: Stage) -> Callable[[], object]:
    for number in range(3):
        stage.admin.lpush(KEYS.queue, encode(Job(f"job-{number}", CAT, enqueued_ms=1), KEYS.queue))
    sequence = iter(range(0, 100, 10))

    return lambda: stage.scripts.run("take", stage.owner, 2, next(sequence), 0, 1)


def releasing(stage: Stage) -> Callable[[], object]:
    stage.hold(tag="1.1")
    stage.hold(Job("another", CAT, enqueued_ms=1), tag="1.2")
    return lambda: stage.scripts.run("release", stage.owner, "1.1", "1.2")


def quarantining(stage: Stage) -> Callable[[], object]:
    stage.admin.hset(KEYS.unacked(stage.owner), "1.1", "no message")
    return lambda: stage.scripts.run(
        "quarantine", stage.owner, "1.1", json.dumps({"at": "now"}), 10, "", "", "{}"
    )


def quarantining_a_jobs_message(stage: Stage) -> Callable[[], object]:
    stage.admin.hset(KEYS.unacked(stage.owner), "1.1", "no message")
    limits = json.dumps({"results_maxlen": 100, "keep_s": 100})
    told = json.dumps({"at": "now"})
    return lambda: stage.scripts.run(
        "quarantine", stage.owner, "1.1", told, 10, JOB.id, '{"result":1}', limits
    )


def promoting(stage: Stage) -> Callable[[], object]:
    for number in range(3):
        job = Job(f"job-{number}", CAT, enqueued_ms=1)
        stage.admin.hset(KEYS.delayed_messages, job.id, b"1|" + encode(job, KEYS.queue))
        stage.admin.zadd(KEYS.delayed, {job.id: number})
    return lambda: stage.scripts.run("promote", 200)


def promoting_a_backlog(stage: Stage) -> Callable[[], object]:
    stage.job_store.to_backlog(JOB, "TEXT2IMAGE", stage.hold())
    return lambda: stage.scripts.run("promote", 200)


def putting_into_a_backlog(stage: Stage) -> Callable[[], object]:
    delivery = stage.hold()
    args = ("TEXT2IMAGE", delivery.owner, delivery.tag, 1, b"", JOB.id)
    return lambda: stage.scripts.run("backlog", *args)


def putting_one_of_a_batch_into_a_backlog(stage: Stage) -> Callable[[], object]:
    args = ("TEXT2IMAGE", stage.owner, "", 1, encode(JOB, KEYS.queue), JOB.id)
    return lambda: stage.scripts.run("backlog", *args)


def taking_over(stage: Stage) -> Callable[[], object]:
    stage.hold(tag="1.1")
    stage.hold(Job("another", CAT, enqueued_ms=1), tag="1.2")
    stage.claim()
    return lambda: stage.scripts.run("takeover", stage.owner, "")


def beating(stage: Stage) -> Callable[[], object]:
    return lambda: stage.scripts.run("heartbeat", stage.owner, 1, 1, "in words")


def claiming_in_a_batch(stage: Stage) -> Callable[[], object]:
    stage.hold(BATCHED)
    return lambda: stage.claim(BATCHED)


def settling_the_last_of_a_batch(stage: Stage) -> Callable[[], object]:
    enter(stage.admin, KEYS.queue, Entry("a-batch", JOB.id, "TEXT2IMAGE"), since_ms=1)
    close(stage.admin, KEYS.queue, "a-batch", None)
    end = replace(ending(stage.hold(BATCHED), stage.claim(BATCHED), "exhausted"), job=BATCHED)
    return lambda: stage.job_store.settle(end)


def claiming_again_in_a_batch(stage: Stage) -> Callable[[], object]:
    settling_the_last_of_a_batch(stage)()
    stage.admin.hset(KEYS.job(JOB.id), mapping={"z": 1000, "f": 1})
    job = replace(BATCHED, enqueued_ms=2000)

    def claim() -> Claim:
        stage.admin.delete(KEYS.refusing)
        return stage.claim(job, request_id=str(uuid.UUID(int=2)))

    return claim


def claiming_what_was_bought_before(stage: Stage) -> Callable[[], object]:
    stage.job_store.settle(ending(stage.hold(), stage.claim(), "submitted"))
    close(stage.admin, KEYS.queue, "a-batch", 1)
    return lambda: stage.claim(BATCHED, request_id=str(uuid.UUID(int=2)))


def held_in_a_batch(stage: Stage) -> None:
    claim = stage.claim(BATCHED)
    stage.job_store.settle(replace(ending(stage.hold(BATCHED), claim, "unknown"), job=BATCHED))


def retrying_in_a_batch(stage: Stage) -> Callable[[], object]:
    held_in_a_batch(stage)
    return lambda: stage.scripts.run("replay", JOB.id, "unknown", "{}")


def resolving_in_a_batch(stage: Stage) -> Callable[[], object]:
    held_in_a_batch(stage)
    final = ("resolve", JOB.id, "unknown", "{}", '{"final":1}', "submitted", "accepted", TASK, 60)
    return lambda: stage.scripts.run(*final)


def quarantining_in_a_batch(stage: Stage) -> Callable[[], object]:
    stage.admin.hset(KEYS.unacked(stage.owner), "1.1", "no message")
    limits = json.dumps({"results_maxlen": 100, "keep_s": 100})
    told = (json.dumps({"at": "now"}), 10, JOB.id, '{"result":1}', limits, "a-batch", "TEXT2IMAGE")
    return lambda: stage.scripts.run("quarantine", stage.owner, "1.1", *told)


def dead_lettered(stage: Stage, status: Status) -> None:
    stage.job_store.settle(ending(stage.hold(), stage.claim(), status))


def retrying(stage: Stage) -> Callable[[], object]:
    dead_lettered(stage, "unknown")
    return lambda: stage.scripts.run("replay", JOB.id, "unknown", "{}")


def resolving(stage: Stage) -> Callable[[], object]:
    dead_lettered(stage, "unknown")
    final = ("resolve", JOB.id, "unknown", "{}", '{"final":1}', "submitted", "accepted", TASK, 60)
    return lambda: stage.scripts.run(*final)


def event_of(job_id: str, key: str, wait_ms: int = 0) -> tuple[Any, ...]:
    asked: dict[str, Any] = {"list": 1, "marks": [job_id], "mark_ms": 60_000}
    if wait_ms:
        asked |= {"debounce": "product", "wait_ms": wait_ms, "longest_ms": 10 * wait_ms, "modified": 5}
    message = encode(replace(JOB, id=job_id), KEYS.queue)
    return ("enqueue_event", json.dumps(asked), job_id, key, 60_000, 1, 0, message)


def enqueueing_an_event(stage: Stage) -> Callable[[], object]:
    call = event_of("a-job", "a-key")
    return lambda: stage.scripts.run(*call)


def replacing_what_waits(stage: Stage) -> Callable[[], object]:
    stage.scripts.run(*event_of("an-old-job", "a-key", 600_000))
    call = event_of("a-job", "another-key", 600_000)
    return lambda: stage.scripts.run(*call)


SCRIPTS: Final[dict[str, tuple[str, Callable[[Stage], Callable[[], object]]]]] = {
    "settle submitted": ("settle", settling("submitted")),
    "settle rejected": ("settle", settling("rejected")),
    "settle unknown": ("settle", settling("unknown")),
    "settle cancelled": ("settle", settling("cancelled")),
    "settle one with callbacks": ("settle", settling_one_with_callbacks),
    "follow": ("follow", following),
    "follow what another follows": ("follow", following_what_another_follows),
    "have followed up": ("followed_up", having_followed_up),
    "settle what was unknown": ("settle", settling_what_was_unknown),
    "reschedule": ("reschedule", rescheduling),
    "look again": ("reschedule", looking_again),
    "claim": ("claim", claiming),
    "claim in vain": ("claim", claiming_in_vain),
    "claim in turn": ("claim", claiming_in_turn),
    "settle what others wait for": ("settle", settling_what_others_wait_for),
    "claim an orphan": ("claim", claiming_an_orphan),
    "claim what is submitted again": ("claim", claiming_again),
    "settle what is submitted again": ("settle", refusing_again),
    "publish a result again": ("republish", republishing),
    "look again at what is submitted again": ("reschedule", looking_again_after_the_end),
    "withdraw": ("withdraw", withdrawing),
    "take": ("take", taking),
    "release": ("release", releasing),
    "quarantine": ("quarantine", quarantining),
    "quarantine a job's message": ("quarantine", quarantining_a_jobs_message),
    "promote": ("promote", promoting),
    "promote a backlog": ("promote", promoting_a_backlog),
    "put into a backlog": ("backlog", putting_into_a_backlog),
    "put one of a batch into a backlog": ("backlog", putting_one_of_a_batch_into_a_backlog),
    "take over": ("takeover", taking_over),
    "beat": ("heartbeat", beating),
    "retry": ("replay", retrying),
    "resolve": ("resolve", resolving),
    "claim in a batch": ("claim", claiming_in_a_batch),
    "settle the last of a batch": ("settle", settling_the_last_of_a_batch),
    "claim again in a batch": ("claim", claiming_again_in_a_batch),
    "claim what was bought before the batch": ("claim", claiming_what_was_bought_before),
    "retry in a batch": ("replay", retrying_in_a_batch),
    "resolve in a batch": ("resolve", resolving_in_a_batch),
    "quarantine in a batch": ("quarantine", quarantining_in_a_batch),
    "enqueue an event": ("enqueue_event", enqueueing_an_event),
    "replace what waits of an event": ("enqueue_event", replacing_what_waits),
    **TASK_SCRIPTS,
}
GIVEN_UP: Final = {
    ("quarantine a job's message", KEYS.job(JOB.id)),
    ("quarantine in a batch", KEYS.job(JOB.id)),
    ("enqueue an event", KEYS.event(JOB.id)),
    ("enqueue an event", KEYS.dedupe("a-key")),
    ("replace what waits of an event", KEYS.event(JOB.id)),
    ("replace what waits of an event", KEYS.dedupe("another-key")),
    *TASK_GIVEN_UP,
}
"""Where the script does less rather than to be refused: a worker waits until a message is put aside. And
where any text means something: the event was seen, or somebody holds the key."""
WRITES: Final = {
    "DEL", "EXPIRE", "HDEL", "HINCRBY", "HSET", "LPUSH", "LTRIM", "PERSIST", "PUBLISH", "RPOP", "RPUSH",
    "SADD", "SET", "SREM", "XADD", "ZADD", "ZREM",
}  # fmt: skip


def commands_of(script: str) -> list[str]:
    """The commands that write, and one that reads for all that do: those come before anything is written."""
    found = set(re.findall(r"'([A-Z]{3,})'", source(script)))
    return sorted(found & WRITES) + sorted(found & {"HMGET", "HGET", "TIME"})


CASES: Final = [
    pytest.param(name, command, id=f"{name}-{command}")
    for name, (script, _) in SCRIPTS.items()
    for command in commands_of(script)
]


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:
    yield redis_server
    client: Any = redis_server.client()
    client.execute_command("ACL", "DELUSER", USER)


def staged(server: RedisServer) -> Stage:
    admin: Any = server.client()
    admin.flushall()
    admin.execute_command("ACL", "SETUSER", USER, "on", ">secret", "~*", "&*", "+@all")
    url = f"redis://{USER}:secret@127.0.0.1:{server.port}/0"
    scripts = Scripts(url, (KEYS.queue, KEYS.results), connections=2)
    registry = WorkerRegistry(scripts, KEYS)
    registry.identity = "boot/ns/0/1/2/token"
    job_store = JobVerbs(scripts, KEYS, registry, LIMITS)
    return Stage(server, admin, scripts, registry, job_store, registry.join())


def all_that_is_stored(admin: Any, owner: str) -> dict[str, Any]:
    """Every key and what it holds, times and random names aside."""
    process_identity = admin.hkeys(KEYS.identities) or [owner.encode()]
    owners = {name: "this" if name == owner.encode() else "another" for name in process_identity}
    found: dict[str, Any] = {}
    for key in sorted(admin.keys("*")):
        name = _plain(key, owners)
        if name.removeprefix("aigc:") in _PASSING or name.startswith(KEYS.wake("")):
            continue  # a mark that is refused is not missed: see lua/_slots.lua
        match admin.type(key):
            case b"hash":
                held = {_plain(k, owners): _plain(v, owners) for k, v in admin.hgetall(key).items()}
                times = name in (KEYS.last_polls, KEYS.routes, KEYS.slot_asks)
                of_task = TASK_TIMES if name.startswith("aigc:task:") else set()
                found[name] = {k: "…" if times or k in _TIMES or k in of_task else v for k, v in held.items()}
                if name.startswith("aigc:unacked:"):
                    found[name] = sorted(held.values())
            case b"zset":
                found[name] = sorted(_plain(member, owners) for member in admin.zrange(key, 0, -1))
            case b"set":
                found[name] = sorted(_plain(member, owners) for member in admin.smembers(key))
            case b"list":
                found[name] = [_plain(each, owners) for each in admin.lrange(key, 0, -1)]
            case b"stream":
                entries = [fields for _, fields in admin.xrange(key)]
                found[name] = [{k: _plain(v, {}) for k, v in fields.items()} for fields in entries]
            case _:
                found[name] = re.sub(rb'"first":\d+', b"", admin.get(key))
        if name.startswith(("aigc:job:", "aigc:task:")):
            found[f"{name} expires"] = admin.ttl(key) > 0
    return found


def _plain(text: bytes, owners: dict[bytes, str]) -> str:
    plain = text.decode("latin-1")
    for owner, name in owners.items():
        plain = plain.replace(owner.decode(), name)
    return re.sub(r'"(delivery_tag|closedAt|finishedAt)": ?"[^"]*"', "", plain)


def is_refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except redis.RedisError:
        return True
    return False


@pytest.fixture(scope="module")
def effects() -> dict[str, Effect]:
    """What each script does where nothing is refused, once it has been called."""
    return {}


class Heard:
    """What is published on the channels from now on."""

    def __init__(self, admin: Any) -> None:
        self._admin = admin
        self._channel = admin.pubsub()
        self._channel.subscribe(KEYS.results, KEYS.outputs)

    def close(self) -> None:
        self._channel.close()

    def so_far(self) -> list[bytes]:
        """All that was published until now: what comes last is a mark of our own."""
        self._admin.publish(KEYS.outputs, END)
        messages = (self._channel.get_message(timeout=PATIENCE_S) for _ in itertools.count())
        published = (message["data"] for message in messages if message["type"] == "message")
        return list(itertools.takewhile(lambda data: data != END, published))


def undisturbed(server: RedisServer, name: str, effects: dict[str, Effect]) -> Effect:
    if name not in effects:
        stage = staged(server)
        act = SCRIPTS[name][1](stage)
        with closing(Heard(stage.admin)) as heard:
            act()
            effects[name] = Effect(all_that_is_stored(stage.admin, stage.owner), heard.so_far())
    return effects[name]


@pytest.mark.parametrize(("name", "command"), CASES)
def test_a_refused_command_leaves_nothing_half_done(
    server: RedisServer, effects: dict[str, Effect], name: str, command: str
) -> None:
    """Refused twice, then repeated with all rights: as if it had been called once."""
    expected = undisturbed(server, name, effects)
    stage = staged(server)
    act = SCRIPTS[name][1](stage)
    with closing(Heard(stage.admin)) as heard:
        stage.admin.execute_command("ACL", "SETUSER", USER, f"-{command.lower()}")
        refused = [is_refused(act)]
        if any(refused):  # else this way through the script has no use for the command
            refused.append(is_refused(act))
        stage.admin.execute_command("ACL", "SETUSER", USER, "+@all")
        if any(refused):
            act()
        assert Effect(all_that_is_stored(stage.admin, stage.owner), heard.so_far()) == expected


def spoil(admin: Any, key: bytes) -> Callable[[], None]:
    """Put a key of another type in the place of this one; gives what undoes that."""
    wrong = admin.sadd if admin.type(key) == b"string" else admin.set
    if kept := admin.exists(key):
        admin.rename(key, b"kept aside")
    wrong(key, "of another type")

    def mend() -> None:
        admin.delete(key)
        if kept:
            admin.rename(b"kept aside", key)

    return mend


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_key_of_another_type_leaves_nothing_half_done(
    server: RedisServer, effects: dict[str, Effect], name: str
) -> None:
    """The same for each key that the script reads or writes, while something else stands in its place."""
    stage = staged(server)
    SCRIPTS[name][1](stage)()
    touched = [key for key in stage.admin.keys("*") if key.decode() not in ("aigc:refusing",)]
    names = {_plain(key, {stage.owner.encode(): "this"}) for key in touched}
    for key in sorted(key for key in names if (name, key) not in GIVEN_UP):
        expected = undisturbed(server, name, effects)
        stage = staged(server)
        act = SCRIPTS[name][1](stage)
        with closing(Heard(stage.admin)) as heard:
            mend = spoil(stage.admin, key.replace("this", stage.owner).encode("latin-1"))
            refused = [is_refused(act)]
            if any(refused):
                refused.append(is_refused(act))
            mend()
            if any(refused):
                act()
            found = Effect(all_that_is_stored(stage.admin, stage.owner), heard.so_far())
            assert (key, found) == (key, expected)


def test_a_take_that_is_repeated_gives_the_same_again(server: RedisServer) -> None:
    """Its reply may be lost: a number that was used for one message is not used for another."""
    stage = staged(server)
    for number in range(4):
        stage.admin.lpush(KEYS.queue, encode(Job(f"job-{number}", CAT, enqueued_ms=1), KEYS.queue))
    first = stage.scripts.run("take", stage.owner, 2, 10, 0, 1)
    again = stage.scripts.run("take", stage.owner, 2, 10, 0, 1)
    assert sorted(zip(again[::2], again[1::2], strict=True)) == sorted(
        zip(first[::2], first[1::2], strict=True)
    )
    assert stage.admin.hlen(KEYS.unacked(stage.owner)) == 2
    assert stage.admin.llen(KEYS.queue) == 2


@pytest.mark.parametrize("own_message", [True, False])
def test_a_job_that_is_put_into_a_backlog_again_is_there_once(server: RedisServer, own_message: bool) -> None:
    """The reply may be lost, for a job of its own message and for one out of a batch."""
    stage = staged(server)
    delivery = stage.hold() if own_message else Delivery(stage.owner, "", 1)
    call = ("backlog", "TEXT2IMAGE", delivery.owner, delivery.tag, 1, encode(JOB, KEYS.queue), JOB.id)
    for _ in range(2):
        stage.scripts.run(*call)
    assert stage.admin.llen(KEYS.backlog("TEXT2IMAGE")) == 1
