"""`python -m worker.cli`: the same as `aigc`."""

from worker.cli import main

main()
