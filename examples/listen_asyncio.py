"""Queue a job from an asyncio program and wait for its result: `python examples/listen_asyncio.py`.

`aconsume` reads the stream, so nothing is missed between queueing and listening; `alisten` gives only what is
published while it listens. Neither holds a thread.
"""

import asyncio
import uuid
from contextlib import aclosing

from tasks import Result, TextToImage, submit
from tasks.results import aconsume


async def submit_and_wait(prompt: str, timeout_s: float) -> Result:
    """The result of a new job; raises TimeoutError."""
    payload = TextToImage(input_text=prompt, width=1024, height=1024)
    job_id = await asyncio.to_thread(submit, payload)  # it waits for Redis, up to 10 s
    group = f"waits-for-{uuid.uuid4()}"  # of its own: in a group each result goes to one consumer only
    async with asyncio.timeout(timeout_s), aclosing(aconsume(group)) as results:
        async for result in results:
            if result.job_id == job_id:
                return result
    raise AssertionError("aconsume ends only where it is told to")


if __name__ == "__main__":
    found = asyncio.run(submit_and_wait("a cat", 60))
    print(found.job_id, found.status, found.task_id)
