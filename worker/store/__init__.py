"""Everything this worker keeps in Redis.

Each change of a job's or a task's state is one Lua script (``lua/``), so that no crash can stop between two
halves of it. What is of one key, or of two that a MULTI holds together, is plain commands.
"""
