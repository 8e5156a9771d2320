"""`aigc forward`: each result, and each output, as a signed webhook to an endpoint of a shop.

The group of one endpoint is read by one process at a time, which holds its lease (`forwarder`). What was
taken waits in a `backlog`, in order for each job; what the endpoint's answers mean is decided in `answers`,
when it is sent again in `schedule`, and whether it is out of order altogether in `health`.
"""
