"""Workers of an earlier revision and of this one on one Redis, under load, with harm done; an audit.

`./dev upgrade-check` runs it: it needs git, with the history, and a package index. docs/how-to/upgrade.md
says what it shows. `python -m tests.upgrade.record` writes what an earlier revision leaves behind, for tests.
"""
