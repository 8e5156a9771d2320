"""The documentation site: generated pages of docs/reference, the picture of the demo, and the build."""
