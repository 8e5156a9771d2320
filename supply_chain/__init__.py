"""What is known of the locked packages: `./dev audit`, `./dev sbom` (docs/decisions/0033-supply-chain.md)."""
