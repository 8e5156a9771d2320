"""Product events of shops, received as webhooks, become jobs: `aigc events`."""
