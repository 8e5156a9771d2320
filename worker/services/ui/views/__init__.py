"""The page as values: pure functions of what was found in Redis, which the templates print."""
