"""The stage of a scenario, with a book of what was ordered and of who was killed while sending what."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Final

import redis

from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS, queue_lists
from tasks.envelope import Job, encode, encode_batch
from tests.chaos.orders import PLAIN, RARE, Order
from tests.conditions import until
from tests.integration.stage import Stage, Vendor, Worker, text
from tests.redis_server import RedisServer
from worker.local.inflight_folder import LogFolder
from worker.local.inflight_log import LogContents
from worker.store.record import readable

BATCHES: Final = ("night", "day", None)
BATCH: Final = 25
STOPS_WITHIN_S: Final = 60.0
STANDS_WITHIN_S: Final = 5.0
LOG_TAIL: Final = 1500


class Arena(Stage):
    """A stage that remembers.

    Attributes:
        orders: every job enqueued, by id.
        lost: jobs whose attempts were in doubt when their worker was killed, or cut off for too long.
        stopped: jobs that a worker was sending while it stopped; if bytes have left they may be unknown.
        cut_off: jobs that were under way while connections to the vendor were cut: they may be unknown.
        cancelled: jobs of which their producer was told that they will not be attempted any more.
        decided: unknown jobs of which an operator decided something, so that another result follows.
        batches: names of those that jobs are ordered in, by turns; None: in none.
        complaints: what a scenario found that is not as promised, beside what the audit finds.
        unpublished: results may be missing on the channel.
        long: longer outages, and more of them.
        lag_s: how long what a worker wrote may be on its way to Redis, where a proxy stands in between.
        gone: workers that were stopped or killed.
        settings: of every worker started here, by their names without ``AIGC_``.
    """

    redis: Any  # redis-py's annotations cannot tell a client of bytes from one of text

    def __init__(self, server: RedisServer, vendor: Vendor, rng: Random, *, gentle: bool) -> None:
        # The workers' temporary directory is ours, for the audit reads the files that they leave there.
        super().__init__(server, vendor, tempfile.gettempdir())
        self.rng = rng
        self.orders: dict[str, Order] = {}
        self.garbage = 0
        self.lost: set[str] = set()
        self.stopped: set[str] = set()
        self.cut_off: set[str] = set()
        self.cancelled: set[str] = set()
        self.decided: set[str] = set()
        self.batches: Sequence[str | None] = BATCHES
        self.complaints: list[str] = []
        self.unpublished = False
        self.long = False
        self.lag_s = 0.0
        self.gone: list[Worker] = []
        self.count: Counter[str] = Counter()
        self.settings: dict[str, Any] = {"CONCURRENCY": 8}
        self.patience_s = 30.0 if gentle else 120.0
        self.duplicates = 0.0 if gentle else 0.05
        self.rare: Sequence[tuple[str, str]] = () if gentle else RARE
        self.channel: list[str] = []
        self.deaf = False
        self._listener = threading.Thread(target=self._listen, name="listener", daemon=True)
        self._listening = threading.Event()
        self._listener.start()
        until(self._listening.is_set, "the subscription")

    def _listen(self) -> None:
        """Collect what is published; after an outage of Redis the subscription has a gap."""
        while not self.deaf:
            client: Any = redis.Redis.from_url(self.server.url)
            with suppress(redis.ConnectionError, redis.TimeoutError), client.pubsub() as pubsub:
                pubsub.subscribe(DEFAULT_RESULTS)
                while not self.deaf:
                    message = pubsub.get_message(timeout=0.2)
                    if message and message["type"] == "message":
                        self.channel.append(message["data"].decode())
                    elif message:
                        self._listening.set()
            client.close()
            time.sleep(0.05)

    def close(self) -> None:
        self.deaf = True
        self._listener.join(5)
        super().close()

    def start(self, plan: dict[str, Any] | None = None, **changes: Any) -> Worker:
        """A worker, with what shall happen to it (see `tests.chaos.victim`)."""
        arguments = ["--include", "tests.chaos.victim"] if plan else []
        environment = self.env(**{**self.settings, **changes}) | {"CHAOS": json.dumps(plan)}
        worker = Worker(environment, *arguments)
        self.workers.append(worker)
        return worker

    # Ordering

    def order(self, fault: str = "", ends: str = "submitted", **options: Any) -> Job:
        """Note down a job with a body of its own; two of three belong to batches."""
        options.setdefault("batch", self.batches[len(self.orders) % len(self.batches)])
        payload = text(f"{fault} {uuid.UUID(int=self.rng.getrandbits(128))}")
        job = Job(str(uuid.UUID(int=self.rng.getrandbits(128), version=4)), payload, **options)
        body = json.dumps(payload, separators=(",", ":")).encode()
        self.orders[job.id] = Order(job, sha256(body).hexdigest(), ends)
        return job

    def order_many(self, jobs: int, *kinds: tuple[str, str], **options: Any) -> list[Job]:
        """Three of four plain, the rest of these kinds; and once the rare ones."""
        drawn = [
            self.rng.choice(kinds or (PLAIN,)) if self.rng.random() < 0.25 else PLAIN for _ in range(jobs)
        ]
        drawn[: len(self.rare)], self.rare = self.rare, ()
        self.rng.shuffle(drawn)
        return [self.order(*kind, **options) for kind in drawn]

    def send(self, jobs: Sequence[Job]) -> None:
        """Enqueue jobs, single and in batches, some of them twice."""
        jobs = list(jobs)
        while jobs:
            size = self.rng.choice([1, 1, BATCH])
            part, jobs = jobs[:size], jobs[size:]
            self.send_together(part)

    def send_together(self, jobs: Sequence[Job]) -> None:
        """Enqueue jobs in one message, or sometimes in two that are the same."""
        if len(jobs) == 1:
            message = encode(jobs[0], DEFAULT_QUEUE)
        else:
            message = encode_batch(jobs, DEFAULT_QUEUE, str(uuid.UUID(int=self.rng.getrandbits(128))))
        self.push(*[message] * (2 if self.rng.random() < self.duplicates else 1))

    def push(self, *messages: bytes) -> None:
        """As a patient producer does it: until Redis has them."""

        def pushed() -> bool:
            with suppress(redis.ConnectionError):
                return bool(self.redis.lpush(DEFAULT_QUEUE, *messages))
            return False

        until(pushed, "Redis to take a message")

    def push_garbage(self) -> None:
        """A message that is none."""
        self.garbage += 1
        self.push(b'{"body": "%d' % self.garbage)

    # Harm

    def kill_worker(self, worker: Worker) -> None:
        """SIGKILL, having looked at what it is sending while it stands still."""
        self.freeze(worker)
        self.count["kills"] += 1
        try:
            self.lost |= self.in_doubt(worker.process.pid)
        finally:
            worker.kill()
            self.gone.append(worker)

    def note_death(self, worker: Worker) -> None:
        """The same for a worker that has ended by itself, while no other one runs."""
        self.count["kills"] += 1
        self.lost |= self.in_doubt(worker.process.pid)

    def stop(self, *workers: Worker) -> None:
        """SIGTERM to all of them at once, noting what they are sending until they have ended."""
        owners = {owner for worker in workers for owner in self.owners_of(worker.process.pid)}
        for worker in workers:
            worker.process.terminate()
        end = time.monotonic() + STOPS_WITHIN_S
        while any(worker.process.poll() is None for worker in workers) and time.monotonic() < end:
            self.stopped |= self.sending_by(owners)
            time.sleep(0.02)
        for worker in workers:
            if worker.process.poll() is None:
                self.complaints.append(f"a worker did not stop within {STOPS_WITHIN_S:.0f} s of SIGTERM")
                self.kill_worker(worker)
            elif worker.process.returncode:
                code, tail = worker.process.returncode, worker.output()[-LOG_TAIL:]
                self.complaints.append(f"a worker that was stopped exited with {code}\n{tail}")

    def anyone_works(self) -> bool:
        """Whether any worker's process is there."""
        return any(worker.process.poll() is None for worker in self.workers)

    def check_alive(self, *workers: Worker) -> None:
        """Complain of each of these that has ended by itself."""
        for worker in workers:
            if worker.process.poll() is not None:
                tail = worker.output()[-LOG_TAIL:]
                self.complaints.append(f"a worker ended by itself with {worker.process.returncode}\n{tail}")

    def freeze(self, worker: Worker) -> None:
        """SIGSTOP; returns once every thread of it stands still."""
        until(lambda: self._stops(worker), "the worker to stand still")
        time.sleep(self.lag_s)

    def _stops(self, worker: Worker) -> bool:
        """Whether it stands still soon; if not, it goes on, to be stopped anew.

        Once in many runs a thread had not stood still after a minute; why is not known.
        """
        os.killpg(worker.process.pid, signal.SIGSTOP)
        tasks = Path(f"/proc/{worker.process.pid}/task")

        def still() -> bool:
            stats = [path.read_text() for path in tasks.glob("*/stat")]
            return all(stat.rpartition(")")[2].split()[0] in "TZX" for stat in stats)

        try:
            until(still, "all its threads", STANDS_WITHIN_S)
        except AssertionError:
            self.thaw(worker)
            return False
        return True

    def thaw(self, worker: Worker) -> None:
        os.killpg(worker.process.pid, signal.SIGCONT)

    def owners_of(self, pid: int) -> set[str]:
        """The names under which a process is known to the others."""
        process_identity = self.redis.hgetall(f"{DEFAULT_QUEUE}:homes")
        return {
            owner.decode()
            for owner, identity in process_identity.items()
            if identity.split(b"/")[3] == b"%d" % pid
        }

    def sending_of(self, pid: int) -> set[str]:
        """The jobs that a process is sending, as the journal has it."""
        self.redis.ping()  # what the process wrote before is read by Redis before the next command
        return self.sending_by(self.owners_of(pid))

    def sending_by(self, owners: set[str]) -> set[str]:
        """The jobs that are being sent under these names."""
        pairs = (
            entry.decode().split("|", 1) for entry in self.redis.zrange(f"{DEFAULT_QUEUE}:sending", 0, -1)
        )
        return {job_id for owner, job_id in pairs if owner in owners}

    def in_doubt(self, pid: int) -> set[str]:
        """Of these, the ones whose bytes may have left without an answer, as the process's file has it."""
        process_identity = self.redis.hgetall(f"{DEFAULT_QUEUE}:homes")
        found = [
            self.in_flight_of(process_identity[owner.encode()].decode()) for owner in self.owners_of(pid)
        ]
        sent = {request_id for file in found if file for request_id in file.sent}
        return {job_id for job_id in self.sending_of(pid) if self.record(job_id)["request_ids"][-1] in sent}

    def in_flight_of(self, identity: str) -> LogContents | None:
        """What a process has in flight, by its log; workers behind a proxy have a file of another name."""
        for path in Path(self.directory).glob(f"in-flight-*-{identity.replace('/', '-')}"):
            return LogFolder(None, "", "").read(path)
        return None

    def kill_redis(self, away_s: float) -> None:
        """SIGKILL Redis, and start it again on its append-only file."""
        self.count["redis kills"] += 1
        self.server.kill()
        time.sleep(away_s)
        self.server.start()

    # Waiting

    def ended(self) -> bool:
        """Whether every order has a result, and nothing is on its way any more."""
        with suppress(redis.ConnectionError):
            if self.redis.xlen(DEFAULT_RESULTS) < len(self.orders) or self.left():
                return False
            return {result["jobId"] for result in self.results()} >= self.orders.keys()
        return False

    # Looking

    def record(self, job_id: str) -> dict[str, Any]:
        """What the journal knows of a job."""
        return readable(self.redis.hgetall(f"{DEFAULT_QUEUE}:job:{job_id}"))

    def left(self) -> dict[str, int]:
        """What is on its way yet: keys and their lengths; empty where all is done."""
        sizes = {"list": "llen", "hash": "hlen", "zset": "zcard"}
        names = [*queue_lists(DEFAULT_QUEUE), f"{DEFAULT_QUEUE}:sending", f"{DEFAULT_QUEUE}:waiting"]
        names += [
            f"{DEFAULT_QUEUE}:waiting:messages",
            *map(bytes.decode, self.redis.keys(f"{DEFAULT_QUEUE}:unacked:*")),
            *map(bytes.decode, self.redis.keys(f"{DEFAULT_QUEUE}:siding:*")),
        ]
        kinds = {name: self.redis.type(name).decode() for name in names}
        return {
            name: int(getattr(self.redis, sizes[kind])(name)) for name, kind in kinds.items() if kind in sizes
        }
