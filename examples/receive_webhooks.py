"""Take the webhooks of `aigc forward` in Python: `python examples/receive_webhooks.py 18092`. No package.

The signature is verified with AIGC_FORWARD_SECRET; with Standard Webhooks' own library it is one call. Any
2xx says that the message is safe here: so write it down before that. It may come again, under the same id.
"""

import base64
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_S = 300
SECRETS = os.environ["AIGC_FORWARD_SECRET"].split()
seen: set[str] = set()  # in a shop, a table with the id as its key, written in one transaction with the rest


def is_genuine(headers: dict[str, str], body: bytes) -> bool:
    """Whether one of our secrets signed this, within the last five minutes."""
    message, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > TOLERANCE_S:
        return False
    content = f"{message}.{sent_at}.".encode() + body
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in SECRETS]
    ours = ["v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys]
    theirs = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(one.encode(), other.encode()) for one in ours for other in theirs)


class Hook(BaseHTTPRequestHandler):
    """One webhook a request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if genuine := is_genuine(headers, body):
            self.take(headers["webhook-id"], json.loads(body))
        self.send_response(204 if genuine else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def take(self, message: str, webhook: dict[str, object]) -> None:
        """Do what there is to do, once for each id; a type that is not known is nothing to fail for."""
        if message not in seen:
            seen.add(message)
            print(message, webhook["type"], json.dumps(webhook["data"]), flush=True)


port = int(sys.argv[1]) if len(sys.argv) > 1 else 18092
ThreadingHTTPServer(("127.0.0.1", port), Hook).serve_forever()
