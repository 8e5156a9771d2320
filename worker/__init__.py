"""What runs: the worker, its command line, and the sandbox that stands in for the vendor."""

import aigc_worker

aigc_worker.claim_names()  # `celery -A worker.app` has put the working directory first
