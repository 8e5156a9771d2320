"""GET of URLs that customers gave: public addresses only, few bytes, bounded time."""
