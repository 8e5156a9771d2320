"""For trying things out without a vendor and without Redis: sandbox, embedded Redis, demo."""
