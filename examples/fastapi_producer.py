"""Order pictures from a FastAPI application: `python examples/fastapi_producer.py 8000`.

    curl -d '{"sku": "A-1", "prompt": "a cat"}' -H 'content-type: application/json' 127.0.0.1:8000/pictures
    curl '127.0.0.1:8000/pictures/JOB?wait_s=10'

Nothing here takes a thread: a thousand requests that wait share one connection to Redis.
"""

import sys
from typing import Annotated

import uvicorn
from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel

from tasks import BrokerUnavailable, InvalidPayload, TextToImage, results, submit_async

app = FastAPI()
WaitSeconds = Annotated[float, Query(ge=0, le=30)]


class Order(BaseModel):
    """What a client asks for."""

    sku: str
    prompt: str


@app.post("/pictures", status_code=202)
async def order(wanted: Order) -> dict[str, str]:
    """Queue a job, or give the one that was queued for the same order within a day."""
    try:
        job_id = await submit_async(
            TextToImage(input_text=wanted.prompt, width=1024, height=1024),
            dedupe_key=f"picture/{wanted.sku}/{wanted.prompt}",
            metadata={"sku": wanted.sku},
        )
    except InvalidPayload as error:
        raise HTTPException(422, [f"{field}: {message}" for field, message in error.errors]) from error
    except BrokerUnavailable as error:  # the client sends the same order again: it is one purchase
        raise HTTPException(503, "try again", headers={"Retry-After": "5"}) from error
    return {"job": job_id}


@app.get("/pictures/{job_id}")
async def picture(job_id: str, wait_s: WaitSeconds = 0) -> dict[str, str | None]:
    """How the job ended, waiting for it so long."""
    try:
        result = await results.wait_async(job_id, timeout_s=wait_s)
    except TimeoutError:
        return {"job": job_id, "status": "pending", "task": None}
    return {"job": job_id, "status": result.status, "task": result.task_id}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
