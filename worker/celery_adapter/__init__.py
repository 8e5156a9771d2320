"""All that touches Celery and kombu: tasks, settings, strategy, transport, the worker's life cycle."""
