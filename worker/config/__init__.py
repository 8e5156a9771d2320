"""The worker's settings, read from the environment and checked."""
