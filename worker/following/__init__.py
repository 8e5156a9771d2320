"""From task id to output: open tasks are asked about until they end, and their files are kept.

`decisions` says what follows from an answer, `pace` whether to ask at all; `follower` does it.
"""
