"""Queue one job and print its id: `python examples/enqueue_one.py "a cat"`.

Redis is found by AIGC_REDIS_URL. What the vendor would refuse raises `InvalidPayload` before anything is
queued.
"""

import sys
import uuid

from tasks import BrokerUnavailable, InvalidPayload, TextToImage, submit


def main(prompt: str) -> int:
    """Queue a picture of this; gives the exit code."""
    # Chosen beforehand: after a lost reply the same id can be queued again, and is still one purchase.
    job_id = str(uuid.uuid4())
    try:
        submit(
            TextToImage(input_text=prompt, width=1024, height=1024), job_id=job_id, metadata={"sku": "A-1"}
        )
    except InvalidPayload as error:
        for path, message in error.errors:
            print(f"{path}: {message}", file=sys.stderr)
        return 1
    except BrokerUnavailable as error:
        print(f"job {job_id} may be queued; to queue it again under its id is safe: {error}", file=sys.stderr)
        return 1
    print(job_id)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "a cat"))
