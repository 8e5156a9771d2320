"""Product events of shops, received as webhooks, become jobs: `aigc events`.

A delivery goes one way: read (server.py, request_body.py) → verified by its source, a pure function
(shopify.py, woocommerce.py, generic.py, objects.py) → mapped (orders.py) → into Redis, in one script
(worker/store/events.py) → answered (app.py).
"""
