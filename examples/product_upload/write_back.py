"""Write task ids back to their products in Shopify: `python examples/product_upload/write_back.py [SECONDS]`.

Reads the results as one of a group; ends after SECONDS without one. `metafieldsSet` sets a value, whatever
was there: a result that comes again is harmless. Shopify answers the change with another products/update, and
that one buys nothing, for its picture is the same (the purchase key in events.toml).

SHOP_URL is https://SHOP.myshopify.com; SHOP_TOKEN_FILE has the token of an app that may write products.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path

from tasks import Result, results

URL = f"{os.environ['SHOP_URL']}/admin/api/2026-10/graphql.json"
TOKEN = Path(os.environ["SHOP_TOKEN_FILE"]).read_text().strip()
MUTATION = """
mutation ($fields: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $fields) { userErrors { message } } }
"""


def write_back(result: Result) -> None:
    """Set the product's metafield aigc.task_id. Raises where the shop does not take it."""
    field = {
        "ownerId": result.metadata["product"], "namespace": "aigc", "key": "task_id",
        "type": "single_line_text_field", "value": result.task_id,
    }  # fmt: skip
    body = json.dumps({"query": MUTATION, "variables": {"fields": [field]}}).encode()
    headers = {"Content-Type": "application/json", "X-Shopify-Access-Token": TOKEN}
    with urllib.request.urlopen(urllib.request.Request(URL, body, headers), timeout=30) as response:
        answer = json.load(response)
    if answer.get("errors") or answer["data"]["metafieldsSet"]["userErrors"]:
        raise RuntimeError(f"the shop did not take the task of job {result.job_id}: {answer}")


def main(idle_timeout_s: float | None) -> None:
    """Handle results. An error ends the program before the result is acknowledged, so it comes again."""
    for result in results.consume("write-back", "write-back-1", idle_timeout_s=idle_timeout_s):
        if result.status == "submitted" and "product" in result.metadata:
            write_back(result)
            print(f"{result.metadata['product']} has task {result.task_id}", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else None)
