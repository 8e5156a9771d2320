"""The pure core: signing, what an attempt turned out to be, and what follows from it."""
