"""The way of a job, from its delivery to its settlement: the loop, the steps, and what admits jobs to it."""
