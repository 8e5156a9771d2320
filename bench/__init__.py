"""Benchmarks: this worker beside other Python queues, the same work in one run. See docs/benchmarks.md."""
