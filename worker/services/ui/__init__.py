"""How the queue stands, over HTTP: metrics for Prometheus, and what `aigc status` has, as JSON."""
