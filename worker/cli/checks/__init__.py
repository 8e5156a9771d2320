"""What `aigc doctor` checks: each a pure function of values, which gives findings.

`docs/reference/doctor.md` has a row for each of `finding.CHECKS`.
"""
