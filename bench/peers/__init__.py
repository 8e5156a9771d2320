"""The other queues, each in its best documented configuration. Run in an environment of their own."""
