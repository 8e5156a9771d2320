"""Long-running companions of the workers, each a program of its own."""
