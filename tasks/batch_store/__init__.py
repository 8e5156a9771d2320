"""What batches have in Redis, and what changes it: for producers, workers, and `tasks.batches`."""
