"""What every worker does beside submitting, one module a duty. Any number of workers may do it at once: each
step is a bounded script that does its work once.

The heartbeat has a thread of its own; all other duties share another one (`worker.maintenance.scheduler`).
"""
