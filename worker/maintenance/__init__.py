"""What every worker does beside sending: one module a duty. Any number of workers may do each at once."""
