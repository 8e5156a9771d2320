"""`python -m aigc_worker`: the same as `aigc`."""

from . import main

main()
