"""Everything this worker keeps in Redis, and the only part of it that imports redis.

Each change of state is one Lua script (``lua/``), so that no crash can stop between two halves of it.
"""
