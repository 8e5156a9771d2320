"""Names of kept files: what a template gives, and that no value gets out of the store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.file_names import DEFAULT, NameFields, NameTemplate, with_task_id

OF = NameFields(
    date="2026-11-22",
    task_id="task-1",
    job_id="job-1",
    workflow="TEXT2IMAGE",
    version="1.0.0",
    ext="png",
    metadata={"sku": "A-1", "nested": {"shop": "eu"}, "a.b": "dotted", "n": 7, "yes": True, "list": [1]},
)


def name(template: str, of: NameFields = OF) -> str:
    return NameTemplate(template).name(of)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (DEFAULT, "2026-11-22/job-1.png"),
        ("{workflow}/{version}/{task_id}", "TEXT2IMAGE/1.0.0/task-1"),
        ("{metadata.nested.shop}/{metadata.sku}_{metadata.n}.{ext}", "eu/A-1_7.png"),
        ("{metadata.a.b} {metadata.yes}", "dotted true"),
        ("{metadata.list}/{metadata.missing}/{metadata.sku.x}/{job_id}", "none/none/none/job-1"),
        ("商品/{metadata.sku}.{ext}", "商品/A-1.png"),
    ],
)
def test_a_template_is_filled_in(template: str, expected: str) -> None:
    """From the job and its metadata; what is not there is `none`."""
    assert name(template) == expected


def test_without_a_job_the_task_id_stands_in() -> None:
    """A task that was bought elsewhere has a name of its own as well."""
    assert name(DEFAULT, replace(OF, job_id=None)) == "2026-11-22/task-1.png"
    elsewhere = replace(OF, job_id=None, workflow=None, version=None)
    assert name("{workflow}/{version}/{job_id}", elsewhere) == "none/none/task-1"


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("../../etc/passwd", "______etc_passwd"),
        ("/root", "_root"),
        ("..", "__"),
        (".", "_"),
        (".hidden.", "_hidden_"),
        ("C:\\x", "C__x"),
        ("a\nb\x00c\u202ed", "a_b_c_d"),
        ("\ud800", "_"),
        ("a?versionId=1#x", "a_versionId=1_x"),
        ("  ", "none"),
        ("", "none"),
        ("衬衫 蓝", "衬衫 蓝"),
    ],
)
def test_values_are_made_safe(value: str, part: str) -> None:
    """Nothing parts a name, leads out of the store or is invisible; letters of any script stay."""
    assert name("{metadata.sku}/{job_id}", replace(OF, metadata={"sku": value})) == f"{part}/job-1"


def test_long_values_stay_distinct() -> None:
    """They are cut, and a digest tells them apart; the ending of the name stays."""
    skus = ["衣" * 300 + end for end in "ab"]
    one, other = (name("{metadata.sku}.{ext}", replace(OF, metadata={"sku": sku})) for sku in skus)
    assert one != other
    for each in (one, other):
        assert each.endswith(".png")
        assert len(each.encode()) <= 160


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("/{job_id}", "relative"),
        ("{date}/../{job_id}", "begins with a dot"),
        ("{job_id}..{ext}", "two in a row"),
        ("./{job_id}", "begins with a dot"),
        (".{job_id}", "begins with a dot"),
        ("{date}//{job_id}", "no part of which is empty"),
        ("{job_id}/", "no part of which is empty"),
        ("{date}.{ext}", "else all have one name"),
        ("pictures", "else all have one name"),
        ("{sku}", "fields {date}, {job_id}"),
        ("{}", "fields"),
        ("{0}{job_id}", "fields"),
        ("{metadata.}", "fields"),
        ("{metadata}", "fields"),
        ("{job_id!r}", "as they are"),
        ("{job_id:>9}", "as they are"),
        ("{job_id.__class__}", "fields"),
        ("{job_id", "braces match"),
        ("{job_id}}", "braces match"),
        ("{{{job_id}}}", "beside its fields"),
        ("{job_id}?x", "beside its fields"),
        ("a\\{job_id}", "backslashes"),
        ("a\n{job_id}", "control characters"),
        ("a" * 300 + "{job_id}", "at most 300 characters"),
        ("a/" * 8 + "{job_id}", "at most 7 folders"),
    ],
)
def test_a_template_that_cannot_be_right_is_refused(template: str, words: str) -> None:
    """In words that say what it must be."""
    with pytest.raises(ValueError, match=words):
        NameTemplate(template)


TEXTS = st.text() | st.sampled_from(["..", "/", "../", "./.", "\x00", "~", "a" * 500])


@given(st.dictionaries(st.sampled_from(["sku", "x"]), TEXTS), TEXTS, st.none() | TEXTS)
def test_no_value_gets_out_of_the_store(metadata: dict[str, str], task_id: str, job_id: str | None) -> None:
    """Whatever strangers write: as many parts as the template has, none empty, hidden or too long."""
    of = replace(OF, metadata=metadata, task_id=task_id or "t", job_id=job_id)
    made = name("{metadata.sku}/{metadata.x}-{job_id}/{task_id}.{ext}", of)
    for each in (made, with_task_id(made, of.task_id)):
        parts = each.split("/")
        assert len(parts) == 3
        assert each.isprintable()
        for part in parts:
            assert part
            assert ".." not in part
            assert not part.startswith(".")
            assert len(part.encode()) <= 255
            assert not set(part) & set('\\:*?"<>|#~&%')


@pytest.mark.parametrize(
    ("made", "own"),
    [("a/b.png", "a/b-task-1.png"), ("a.b/c", "a.b/c-task-1"), ("b.c.png", "b.c-task-1.png")],
)
def test_the_task_id_goes_before_the_ending(made: str, own: str) -> None:
    """So that the file is still known by it."""
    assert with_task_id(made, "task-1") == own
