#!/usr/bin/env bash
# Buy clips for the new pictures of a catalogue, each night; from cron:
#   0 2 * * *  cd /srv/shop && . .shop/bin/activate && set -a && . ./aigc.env && ./nightly.sh export.csv
#
# Run again, or after it broke off, it buys nothing twice: a picture that was bought within the mapping's
# window is known by its purchase key. `mapping.toml` beside this script; start from aigc map --show woocommerce.
set -euo pipefail
catalogue=$1
mapping=$(dirname "$0")/mapping.toml
ids=$(mktemp)
trap 'rm -f "$ids"' EXIT

# What it would buy, what that costs (AIGC_PRICE__IMAGE2VIDEO), and each row that is wrong, by its number.
# A night with wrong rows still buys the others.
aigc submit "$catalogue" --map "$mapping" --dry-run || echo "some rows are wrong: see above" >&2

# Behind everything that is more urgent.
aigc submit "$catalogue" --map "$mapping" --priority low --ids "$ids" || [ -s "$ids" ]
echo "$(sort -u "$ids" | wc -l) jobs of this catalogue are queued or bought"
