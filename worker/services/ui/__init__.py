"""How the queue stands, over HTTP: the operators' page, metrics for Prometheus, the status as JSON.

A request of a person goes one way: guard.py, who may look; pages.py or posts.py; reads.py or desk.py, which
ask Redis; views/, pure functions of what was found; templates/, which escape whatever they print.
"""
