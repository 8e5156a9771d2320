"""Queue many jobs, 50 in a message, and print their ids: `python examples/enqueue_many.py 1000`.

The payloads are made as they are needed, so a million of them take no more memory than a hundred.
"""

import sys
from collections.abc import Iterator

from tasks import Submission, TextToImage, submit_many


def submissions(count: int) -> Iterator[Submission]:
    """One for each product; each with an id of its own, so that a run that broke off can be repeated."""
    for number in range(count):
        payload = TextToImage(input_text=f"product {number} on a white table", width=1024, height=1024)
        yield Submission(payload, job_id=f"catalogue-{number}", metadata={"sku": f"P-{number}"})


def main(count: int) -> None:
    """Queue so many behind whatever is more urgent."""
    for job_id in submit_many(submissions(count), priority="low"):
        print(job_id)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
