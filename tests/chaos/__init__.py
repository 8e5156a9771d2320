"""Chaos: real processes, killed, frozen, cut off and refused, at random and at every named point; an audit.

`./dev chaos` runs it. docs/reliability.md says what it shows.
"""
