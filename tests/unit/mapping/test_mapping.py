"""What a mapping makes of a product: items, conditions, payloads, problems and purchase keys."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

import tasks
from worker.mapping import NO_IMAGE, NOT_WANTED, Mapping, MappingError, from_document, load, ready_names

SHOP = Path(__file__).parents[2] / "data" / "shop"
SHIRT: dict[str, Any] = json.loads((SHOP / "shopify_products_create.json").read_text("utf-8"))
URL = "https://cdn.shopify.example/s/files/1/1/files/shirt.jpg?v=1"

PRODUCT: dict[str, Any] = {
    "id": 7,
    "title": "Tee",
    "status": "active",
    "images": [
        {"id": 1, "src": "//s.example/a.jpg", "alt": "front"},
        {"id": 2, "src": "https://s.example/b 1.jpg", "alt": None, "variant_ids": [12]},
        {"id": 3, "src": "https://s.example/a.jpg", "alt": "the first one again"},
    ],
    "variants": [
        {"id": 11, "sku": "S", "image_id": 1},
        {"id": 12, "sku": "M", "image_id": None},
        {"id": 13, "sku": "L", "image_id": None},
    ],
}
CLIP = """
[[job]]
each = "image"
workflow = "IMAGE2VIDEO"
[job.input]
inputText = "{{ product.title }} turns"
inputImage = "{{ image }}"
"""


def mapping(text: str) -> Mapping:
    return from_document(tomllib.loads(text), "m.toml")


def keys(made: Mapping, product: dict[str, Any], shop: str = "s") -> list[str | None]:
    return [job.submission.dedupe_key for job in made.jobs(product, shop=shop).jobs]


def of_items(each: str, more: str = "") -> list[tuple[str, str]]:
    text = CLIP.replace('"image"', f'"{each}"', 1).replace("[job.input]", f"{more}\n[job.input]")
    made = mapping(text).jobs(PRODUCT)
    assert made.problems == []
    return [(job.item, job.submission.payload["algoInput"]["inputImage"]) for job in made.jobs]  # type: ignore[index]


@pytest.mark.parametrize(
    ("each", "items"),
    [
        ("image", [("image 1", "a.jpg"), ("image 2", "b%201.jpg")]),
        ("first image", [("image 1", "a.jpg")]),
        ("variant", [("variant 1", "a.jpg"), ("variant 2", "b%201.jpg")]),
        ("product", [("product", "a.jpg")]),
        ("product.images[1:]", [("item 1", "b%201.jpg"), ("item 2", "a.jpg")]),
        ("product.images[].src", [("item 1", "a.jpg"), ("item 2", "b%201.jpg"), ("item 3", "a.jpg")]),
    ],
)
def test_the_items_that_make_a_job(each: str, items: list[tuple[str, str]]) -> None:
    """By a ready name or by JMESPath; a picture that a product has twice is one."""
    assert of_items(each) == [(item, f"https://s.example/{name}") for item, name in items]


def test_the_first_image_is_the_first_that_is_wanted() -> None:
    """So a picture that was written back to the front is passed over."""
    assert of_items("first image", "when = \"item.alt != 'front'\"") == [
        ("image 2", "https://s.example/b%201.jpg")
    ]


@pytest.mark.parametrize(
    ("product", "when", "reason"),
    [
        (PRODUCT, "product.status == 'draft'", NOT_WANTED),
        ({"id": 1}, "product.status == 'active'", NOT_WANTED),
        ({"id": 1, "images": [], "status": "active"}, "product.status == 'active'", NO_IMAGE),
    ],
)
def test_why_there_is_no_job_is_said(product: dict[str, Any], when: str, reason: str) -> None:
    """It is no problem: most drafts have no picture yet."""
    made = mapping(CLIP.replace("[job.input]", f'when = "{when}"\n[job.input]')).jobs(product)
    assert (made.jobs, made.problems, made.skipped) == ([], [], [reason])


@pytest.mark.parametrize("each", ["image", "first image"])
@pytest.mark.parametrize(
    "cell", ["www.shop.example/a.jpg", "images/a.jpg", "ftp://shop.example/a.jpg", "bücher.рф/1"]
)
def test_a_picture_that_is_no_url_is_a_problem(each: str, cell: str) -> None:
    """Whoever wrote it meant a picture: "no picture" would have him look elsewhere, and order nothing."""
    made = mapping(CLIP.replace('"image"', f'"{each}"', 1)).jobs({"title": "Tee", "images": [cell]})
    (problem,) = map(str, made.problems)
    assert "[job.input] inputImage: must be a public http:// or https:// URL" in problem
    assert (repr(cell) in problem, made.jobs, made.skipped) == (True, [], [])


def test_a_usable_first_picture_is_taken_whatever_stands_before_it() -> None:
    """Words that stand for no picture are none, and one that can be bought is."""
    product = {"id": 1, "title": "Tee", "images": ["n/a", "-", "a.jpg", "https://s.example/b.jpg"]}
    (job,) = mapping(CLIP.replace('"image"', '"first image"', 1)).jobs(product).jobs
    assert job.submission.payload["algoInput"]["inputImage"] == "https://s.example/b.jpg"  # type: ignore[index]
    assert mapping(CLIP).jobs({"id": 1, "title": "Tee", "images": ["n/a", "-"]}).skipped == [NO_IMAGE]


@pytest.mark.parametrize("cell", ["n.a.", "N.A.", "k.A.", "T.B.D.", "12.50", "1.10", "-.-", "..."])
def test_words_that_stand_for_no_picture_are_none(cell: str) -> None:
    """A catalogue that was queued each night would end with exit code 1 by such a column."""
    made = mapping(CLIP).jobs({"id": 1, "title": "Tee", "images": [cell]})
    assert (made.jobs, made.problems, made.skipped) == ([], [], [NO_IMAGE])


def test_a_missing_picture_may_be_a_problem() -> None:
    """Where the mapping says so."""
    made = mapping(CLIP.replace("[job.input]", 'without_image = "problem"\n[job.input]')).jobs({"id": 1})
    assert [str(problem) for problem in made.problems] == ["job 1: [[job]] each: there is no picture"]


def test_problems_are_by_item_and_name_table_and_field() -> None:
    """The other items of the product are queued."""
    text = CLIP.replace("{{ product.title }} turns", "{{ item.alt | upper | truncate(3) }} {{ item.alt }}")
    made = mapping(text + '\n[job.metadata]\nsku = "{{ product.sku }}"').jobs(PRODUCT | {"sku": "A"})
    assert [job.item for job in made.jobs] == ["image 1"]
    assert [str(problem) for problem in made.problems] == [
        "job 1, image 2: [job.input] inputText: is null; write {{ … or 'something else' }}"
    ]
    made = mapping(CLIP.replace("{{ product.title }}", 501 * "x")).jobs(PRODUCT)
    assert {(each.item, each.field) for each in made.problems} == {
        ("image 1", "[job.input] inputText"),
        ("image 2", "[job.input] inputText"),
    }


def test_values_keep_their_types() -> None:
    """Numbers by a template, a path, a plain value and out of a cell's text; defaults; nested fields."""
    text = """
    [[job]]
    each = "product"
    workflow = "OWN"
    version = "{{ product.v }}"
    unlisted = true
    [job.input]
    a = "{{ product.n }}"
    b = { path = "product.n" }
    c = 3
    d = "{{ product.cell | int }}"
    e = { path = "product.missing", default = false }
    f = { deep = ["{{ product.n }}", "x"], path = "plain", more = 1 }
    [job.metadata]
    id = { path = "product.id" }
    """
    product = {"id": 5, "n": 2, "cell": "17", "v": "2.0"}
    (job,) = mapping(text).jobs(product).jobs
    assert job.submission.payload == {
        "workflow": "OWN",
        "version": "2.0",
        "algoInput": {
            "a": 2, "b": 2, "c": 3, "d": 17, "e": False, "f": {"deep": [2, "x"], "path": "plain", "more": 1},
        },
    }  # fmt: skip
    assert (job.submission.metadata, job.submission.unlisted) == ({"id": 5}, True)


def test_the_purchase_key_survives_what_is_no_purchase() -> None:
    """Write-backs, other fields, the same id as text; a picture, prompt, shop or version is another."""
    made = mapping(CLIP)
    first = keys(made, PRODUCT)
    same = PRODUCT | {"updated_at": "later", "metafields": [1], "tags": "x", "id": "7"}
    assert keys(made, same) == first
    assert len(set(first)) == 2
    changed = json.loads(json.dumps(PRODUCT).replace("a.jpg", "a.jpg?v=2"))
    others = [
        keys(made, changed)[0],
        keys(made, PRODUCT | {"title": "Shirt"})[0],
        keys(made, PRODUCT | {"id": 8})[0],
        keys(made, PRODUCT, shop="another")[0],
        keys(mapping(CLIP.replace("workflow =", 'version = "2"\nworkflow =')), PRODUCT)[0],
    ]
    assert len({first[0], *others}) == 6


def test_a_shop_is_the_same_one_however_it_is_written() -> None:
    """An event has the name in small letters, and whoever submits a catalogue writes it by hand."""
    names = ("a.example", "A.Example", " https://a.example/", "a.example.")
    assert len({tuple(keys(mapping(CLIP), PRODUCT, shop=name)) for name in names}) == 1


@pytest.mark.parametrize("parts", ["", '[job.purchase]\nkey = ["image", "workflow", "template"]'])
def test_a_picture_that_is_signed_anew_is_no_other_purchase(parts: str) -> None:
    """A catalogue has another signature in each URL each night; another file, or version, is another one."""
    made = mapping(CLIP + parts)

    def key(url: str) -> str | None:
        (found,) = keys(made, {"id": 1, "title": "t", "images": [url]})
        return found

    signed = "https://b.example/a.jpg?v=1&X-Amz-Date={}&X-Amz-Expires=60&X-Amz-Signature={}"
    assert key(signed.format(1, "a")) == key(signed.format(2, "b")) == key("https://b.example/a.jpg?v=1")
    assert key(signed.format(1, "a")) != key(signed.format(1, "a").replace("v=1", "v=2"))


def test_a_picture_that_no_input_uses_is_in_no_key() -> None:
    """A job about the product itself is not bought again because its pictures changed."""
    text = """
    [[job]]
    each = "product"
    workflow = "TEXT2IMAGE"
    [job.input]
    inputText = "{{ product.title }}"
    width = 512
    height = 512
    """
    assert keys(mapping(text), PRODUCT) == keys(mapping(text), PRODUCT | {"images": []})


def test_data_that_is_nested_without_end_is_a_problem() -> None:
    """However it comes into a job."""
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    for value in ('{ path = "product.deep" }', '"{{ product.deep }}"'):
        text = f'[[job]]\neach = "product"\nworkflow = "OWN"\nunlisted = true\n[job.input]\na = {value}'
        made = mapping(text).jobs({"id": 1, "deep": deep})
        assert (made.jobs, len(made.problems)) == ([], 1)


def test_a_product_without_an_identity_is_a_problem() -> None:
    """Two of them would be one purchase."""
    made = mapping(CLIP).jobs(PRODUCT | {"id": None})
    assert {each.field for each in made.problems} == {"[mapping] product"}


def test_the_window_is_long_and_can_be_set() -> None:
    """A catalogue of each night must find what was bought long ago."""
    (job, _) = mapping(CLIP).jobs(PRODUCT).jobs
    assert job.submission.dedupe_ttl_s == 365 * 86400
    assert job.submission.dedupe_renew, "each night asks for it: in a year it is no new purchase"
    (job, _) = mapping(CLIP + '[job.purchase]\nwindow = "12h"').jobs(PRODUCT).jobs
    assert job.submission.dedupe_ttl_s == 12 * 3600
    assert not job.submission.dedupe_renew


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "[[job]]: is missing"),
        ("[[jobs]]\n", "[[job]]: is missing; there is 'jobs'"),
        ("job = 1", "[[job]]: must be"),
        (CLIP.replace("workflow", "workflwo"), "[[job]] 1: workflwo: no such field; did you mean workflow?"),
        (CLIP.replace('each = "image"', ""), "[[job]] 1: each: is missing"),
        (CLIP.replace('"image"', '"images[]"', 1), "[[job]] 1: each: there is no 'images'"),
        (CLIP.replace("{{ image", "{{ imag"), "[[job]] 1: input.inputImage: there is no 'imag'"),
        (CLIP.replace("[job.input]", 'when = "a =="\n[job.input]'), "[[job]] 1: when: not JMESPath"),
        (CLIP + "at = 2026-01-01", "[[job]] 1: input.at: is a date"),
        (CLIP + '[job.purchase]\nkey = ["shop"]', "[[job]] 1 purchase: key: must have workflow"),
        (CLIP + '[job.purchase]\nkey = ["workflow", "sku"]', "[[job]] 1 purchase: key: 'sku' is none of"),
        (CLIP + '[job.purchase]\nwindow = "1y"', "[[job]] 1 purchase: window: must be"),
        (CLIP + '[job.purchase]\nwindow = ""', "[[job]] 1 purchase: window: must be"),
        ("[mapping]\nproduct = 1\n" + CLIP, "[mapping]: product: must be a string"),
        (CLIP.replace("each", 'name = "a"\neach') * 2, "[[job]]: name: 'a' is given twice"),
        (
            CLIP.replace("IMAGE2VIDEO", "IMAGE2VIDO"),
            "[[job]] 1: workflow: 'IMAGE2VIDO' is not known here; did you mean IMAGE2VIDEO?; to send it,",
        ),
        (
            CLIP.replace("inputImage =", "inputImge ="),
            "[[job]] 1: input.inputImge: IMAGE2VIDEO has no such field; did you mean inputImage?\n"
            "m.toml: [[job]] 1: input: inputImage is missing, which IMAGE2VIDEO needs",
        ),
        (CLIP + "seed = 1", "[[job]] 1: input.seed: IMAGE2VIDEO has no such field; it takes inputText, inp"),
    ],
)
def test_a_mapping_that_cannot_be_right_names_table_and_field(text: str, words: str) -> None:
    """Before any product is looked at."""
    with pytest.raises(MappingError) as caught:
        mapping(text)
    assert f"m.toml: {words}" in str(caught.value)


@pytest.mark.parametrize(
    ("version", "more", "fault"),
    [
        ("1", "", None),
        ("1", "odd = 1", "input.odd: OWN has no such field; it takes inputText, inputImage"),
        ("2", "odd = 1", None),
        ("3", "", "version: must be one of 1, 2 for OWN, got '3'"),
        ("{{ product.version }}", "odd = 1", None),
    ],
)
def test_declared_workflows_are_known(tmp_path: Path, version: str, more: str, fault: str | None) -> None:
    """By their schemas; what a template decides is not known before a product is there."""
    fields = "properties = { inputText = {}, inputImage = {} }"
    tables = [
        f'[[workflow]]\nname = "OWN"\nversion = "{number}"\n[workflow.algoInput]\n{fields}\n{rule}\n'
        for number, rule in ((1, "additionalProperties = false"), (2, ""))
    ]
    file = tmp_path / "w.toml"
    file.write_text("".join(tables), "utf-8")
    text = CLIP.replace('"IMAGE2VIDEO"', f'"OWN"\nversion = "{version}"') + more
    tasks.configure(workflows_file=str(file))
    try:
        if fault is None:
            mapping(text)
        else:
            with pytest.raises(MappingError) as caught:
                mapping(text)
            assert str(caught.value) == f"m.toml: [[job]] 1: {fault}"
    finally:
        tasks.configure()


def test_other_tables_are_left_to_others() -> None:
    """`aigc events` has its own in the same file."""
    assert keys(mapping(CLIP + "\n[shopify]\nsecret_file = 'x'"), PRODUCT) == keys(mapping(CLIP), PRODUCT)


def test_files_that_are_none(tmp_path: Path) -> None:
    """A missing one, one that is no TOML, one that is no text."""
    for content, words in ((None, "No such file"), (b"a = ", "not TOML"), (b"\xff", "not UTF-8")):
        file = tmp_path / "m.toml"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(MappingError, match=words):
            load(file)


def test_shopify_event_and_export_are_one_purchase() -> None:
    """The same picture by webhook, after a write-back, by the GraphQL interface, in the product export."""
    made = load("shopify")
    event = keys(made, SHIRT)
    assert len(event) == 1
    graphql = {
        "handle": "test-shirt",
        "status": "ACTIVE",
        "images": {"nodes": [{"url": URL, "altText": None}]},
    }
    export = {
        "Handle": "test-shirt",
        "Title": "T",
        "Image Src": URL,
        "Image Position": "1",
        "Status": "active",
    }
    assert keys(made, SHIRT | {"updated_at": "later", "title": "New"}) == event
    assert keys(made, graphql) == keys(made, export) == event
    assert keys(made, export | {"Image Position": "2", "Status": ""}) == []
    assert keys(made, SHIRT | {"status": "draft"}) == []
    changed = json.loads(json.dumps(SHIRT).replace("?v=1", "?v=2"))
    assert keys(made, changed) not in ([], event)
    generated = {"src": "https://cdn.shopify.example/made.png", "alt": "generated: studio"}
    assert keys(made, SHIRT | {"images": [generated, *SHIRT["images"]]}) == event


def test_woocommerce_event_and_export_are_one_purchase() -> None:
    """A picture that a variation repeats, too; drafts make nothing."""
    made = load("woocommerce")
    picture = "https://s.example/tee.jpg"
    row = {"ID": "44", "Type": "variable", "SKU": "tee", "Images": picture, "Parent": "", "Published": "1"}
    event = {"id": 44, "sku": "tee", "type": "variable", "status": "publish", "images": [{"src": picture}]}
    variation = row | {"ID": "76", "Type": "variation", "SKU": "tee-red", "Parent": "tee"}
    assert keys(made, row) == keys(made, event) == keys(made, variation)
    by_id = row | {"SKU": ""}, variation | {"Parent": "id:44"}
    assert keys(made, by_id[0]) == keys(made, by_id[1]) == keys(made, event | {"sku": ""})
    for nothing in (row | {"Published": "0"}, event | {"status": "draft"}, event | {"type": "variation"}):
        assert keys(made, nothing) == []


@pytest.mark.parametrize("name", ready_names())
def test_a_ready_mapping_makes_nothing_of_nothing(name: str) -> None:
    """A product that has none of the fields is no crash, and no purchase."""
    assert load(name).jobs({}).jobs == []
