"""Handle results as one of a group of consumers: `python examples/consume_results.py shop [SECONDS]`.

A result is acknowledged when the loop asks for the next one. What a consumer that died had not handled,
another one of the group gets; so handling has to stand a repetition.
"""

import sys

from tasks import Result
from tasks.results import consume


def handle(result: Result) -> None:
    """What a shop would do: note the task id, or tell somebody."""
    if result.status == "submitted":
        print(f"{result.job_id} is the vendor's task {result.task_id} ({result.metadata.get('sku')})")
    elif result.status == "unknown":
        print(f"{result.job_id} may have been accepted: an operator has to find out (aigc failed show)")
    else:
        print(f"{result.job_id} {result.status}: {result.error_code}")


def main(group: str, idle_timeout_s: float | None) -> None:
    """Handle results; end after so many seconds without one, or never."""
    for result in consume(group, idle_timeout_s=idle_timeout_s):
        handle(result)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else None)
