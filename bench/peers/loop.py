"""The limit: an asyncio loop over a stream with hand-written HTTP, and nothing that makes a queue of it."""

from __future__ import annotations

import asyncio
import json
import os

import redis.asyncio

from bench import work

_GROUP, _BLOCK_MS = "loop", 1000
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
            await pipe.execute()


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
    asyncio.run(main())
