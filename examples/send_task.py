"""Queue a job from any Celery app: `python examples/send_task.py redis://127.0.0.1:6379/0`.

Nothing of this package is needed. What is wrong with a payload the worker finds: its result is `rejected`.
"""

import sys
import uuid

from celery import Celery


def main(broker: str) -> None:
    """Queue one job on this Redis, and print its id."""
    with Celery("shop", broker=broker, set_as_current=False) as app:
        sent = app.send_task(
            "tasks.submit_workflow",
            queue="aigc",
            task_id=str(uuid.uuid4()),
            args=[
                {
                    "workflow": "TEXT2IMAGE",
                    "version": "1.0.0",
                    "algoInput": {"inputText": "a cat", "width": 1024, "height": 1024},
                }
            ],
            kwargs={"metadata": {"sku": "A-1"}},
            ignore_result=True,  # the result is in the stream `aigc:results`, not in a result backend
        )
        print(sent.id)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/0")
