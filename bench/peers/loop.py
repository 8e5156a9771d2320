"""The limit: an asyncio loop over a stream with hand-written HTTP, and nothing that makes a queue of it.

With BENCH_RECORDED it also does, in the plainest way, what a paid submit cannot do without: it writes down in
Redis that an attempt begins, before it is sent, and how it ended; and it logs a line a job.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time

import redis.asyncio

from bench import work

_GROUP, _BLOCK_MS = "loop", 1000
_RECORDED = bool(os.environ.get("BENCH_RECORDED"))
_KEPT_S = 7 * 24 * 3600
_HOST, _PORT = work.ENDPOINT.removeprefix("http://").split(":")


class Connection:
    """One kept-alive HTTP connection."""

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(_HOST, int(_PORT))

    async def post(self, body: bytes, headers: dict[str, str]) -> bytes:
        lines = [f"POST {work.URI} HTTP/1.1", f"Host: {_HOST}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return await self._reader.readexactly(length)


async def main() -> None:
    """Consume until the process is ended."""
    client = redis.asyncio.Redis.from_url(work.REDIS_URL)
    await client.xgroup_create(work.QUEUE, _GROUP, id="0", mkstream=True)
    connections = [Connection() for _ in range(work.CONCURRENCY)]
    for connection in connections:
        await connection.open()
    while True:
        found = await client.xreadgroup(
            _GROUP, "one", {work.QUEUE: ">"}, count=work.CONCURRENCY, block=_BLOCK_MS
        )
        entries = found[0][1] if found else []
        if _RECORDED and entries:
            await _record(client, [(fields[b"id"], b"sending") for _, fields in entries])
        results = await asyncio.gather(
            *(
                _submit(connection, fields)
                for connection, (_, fields) in zip(connections, entries, strict=False)
            )
        )
        if not entries:
            continue
        async with client.pipeline(transaction=False) as pipe:
            for result in results:
                pipe.xadd(work.RESULTS, {"result": result}, maxlen=work.RESULTS_MAXLEN)
                pipe.publish(work.RESULTS, result)
            pipe.xack(work.QUEUE, _GROUP, *(entry_id for entry_id, _ in entries))
            if _RECORDED:
                _note(pipe, [(fields[b"id"], b"submitted") for _, fields in entries])
            await pipe.execute()
        if _RECORDED:
            for _, fields in entries:
                logging.info(
                    '{"event": "job ended", "jobId": "%s", "status": "submitted"}', fields[b"id"].decode()
                )


async def _record(client: redis.asyncio.Redis, states: list[tuple[bytes, bytes]]) -> None:
    async with client.pipeline(transaction=False) as pipe:
        _note(pipe, states)
        await pipe.execute()


def _note(pipe: redis.asyncio.client.Pipeline, states: list[tuple[bytes, bytes]]) -> None:
    for job_id, state in states:
        key = b"bench:job:" + job_id
        pipe.hset(key, mapping={b"state": state, b"at": time.time()})
        pipe.expire(key, _KEPT_S)


async def _submit(connection: Connection, fields: dict[bytes, bytes]) -> str:
    job = json.loads(fields[b"job"])
    request_id, body, headers = work.request(job)
    return work.result(fields[b"id"].decode(), job, request_id, await connection.post(body, headers))


async def start() -> None:
    global _producer
    _producer = redis.asyncio.Redis.from_url(work.REDIS_URL)


async def enqueue(job_id: str, number: int) -> None:
    await _producer.xadd(work.QUEUE, {"id": job_id, "job": json.dumps(work.payload(number))})


if __name__ == "__main__":
    if os.environ.get("BENCH_UVLOOP"):
        import uvloop

        uvloop.install()
    if _RECORDED:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(main())
