"""Chaos: real processes, killed, frozen and cut off at random and at every named point; then an audit.

`./dev chaos` runs it. docs/reliability.md says what it shows.
"""
