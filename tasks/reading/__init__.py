"""The reading of messages, whatever they are: what `tasks.results` and `tasks.outputs` share."""
