"""What runs: the worker, its command line, and the sandbox that stands in for the vendor."""
