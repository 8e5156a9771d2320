"""Templates of a mapping: types, what is refused, and that none runs away."""

from __future__ import annotations

from typing import Any

import pytest

from worker.mapping.fields import SCOPE
from worker.mapping.paths import Path
from worker.mapping.templates import compile_template

PRODUCT = {
    "title": "Shirt & tie",
    "items": [{"sku": "a"}, {"sku": "b"}],
    "width": 1024,
    "cell": " 1024 ",
    "price": "19.90",
    "nothing": None,
    "empty": "",
    "tags": ["x", "y"],
    "html": "<p>A <b>shirt</b> &amp; more</p>",
    "hostile": "{{ 7*7 }}{% for x in range(10**9) %}",
}


def value(template: str) -> Any:
    return compile_template(template, SCOPE)({"product": PRODUCT, "image": "https://s.example/a.jpg"})


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("A {{ product.title }}!", "A Shirt & tie!"),
        ("{{ product.width }}", 1024),
        ("{{ product.width }} px", "1024 px"),
        ("{{ product.cell | int }}", 1024),
        ("{{ product.price | float }}", 19.9),
        ("{{ -product.width }}", -1024),
        ("{{ - product.width }}", -1024),
        ("{{- product.width -}}", 1024),
        ("{{ product.items }}", PRODUCT["items"]),
        ("{{ product.items | map(attribute='sku') }}", ["a", "b"]),
        ("{{ product.tags | join(', ') }}", "x, y"),
        ("{{ product.html | striptags }}", "A shirt & more"),
        ("{{ product.title | truncate(8) }}", "Shirt..."),
        ("{{ product.missing | default('d') }}", "d"),
        ("{{ product.nothing or 'd' }}", "d"),
        ("{% if product.width > 1000 %}big{% else %}small{% endif %}", "big"),
        ("{{ product.hostile }}", PRODUCT["hostile"]),
        ("say {{ product.hostile }}", f"say {PRODUCT['hostile']}"),
    ],
)
def test_a_template_gives(template: str, expected: Any) -> None:
    """One {{ … }} alone keeps its value's type, all else is text; data is never a template."""
    found = value(template)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ product.titel }}", "there is no 'titel'; did you mean title?"),
        ("a {{ product.size }}", "there is no 'size'"),
        ("{{ product.nothing }}", "is null"),
        ("a {{ product.nothing }}", "is null"),
        ("a {{ product.tags }}", "join"),
        ("{{ product.title | int }}", "must be a whole number"),
        ("{{ '1.5' | int }}", "must be a whole number"),
        ("{{ 'nan' | float }}", "must be a number"),
        ("{{ product.empty | required }}", "is empty"),
        ("{{ 1 / 0 }}", "zero"),
        ("{{ product.title.__class__ }}", "unsafe"),
        ("{{ product.title['__class__'] }}", "unsafe"),
        ("{{ 'x' * 1000000000 }}", "numbers only"),
        ("{{ '%1000000000d' % 1 }}", "numbers only"),
        ("{{ product.html | replace('', product.html * 2) }}", "numbers only"),
    ],
)
def test_what_a_product_has_not_is_said(template: str, words: str) -> None:
    """No "None" and no empty word goes into a prompt in silence, and nothing is reached beside the data."""
    with pytest.raises(ValueError, match=words):
        value(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ x",
        "{% for x in product %}{% endfor %}",
        "{% set x = 1 %}",
        "{% macro m() %}{{ m() }}{% endmacro %}",
        "{% include 'x' %}",
        "{{ range(1000000000) }}",
        "{{ product.title.upper() }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ product.title | center(1000000000) }}",
        "{{ product | attr('pop') }}",
        "{{ produkt.title }}",
        "{{ self }}",
        "{{ cycler }}",
        "x" * 30_000 + "{{ image }}",
    ],
)
def test_what_could_run_away_is_refused_when_it_is_read(template: str) -> None:
    """A template has expressions and conditions: no loop, call or power, and no filter without a bound."""
    with pytest.raises(ValueError, match=r".") as caught:
        compile_template(template, SCOPE)
    assert len(str(caught.value)) < 300


def test_a_text_from_large_data_is_bounded() -> None:
    """A product of a megabyte is an error in a moment."""
    scope = {"product": {"a": "a" * 1_000_000, "markup": "<!---->" * 150_000, "many": ["x" * 9] * 200_000}}
    for template in (
        "{{ product.a | replace('a', product.a) }}",
        "{{ product.many | join(product.a) }}",
        "x{{ product.a }}",
    ):
        with pytest.raises(ValueError, match=r"too long|characters"):
            compile_template(template, SCOPE)(scope)
    assert len(compile_template("{{ product.markup | striptags }}", SCOPE)(scope)) < len("<!---->")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("product.", "not JMESPath"),
        ("images[0]", "there is no 'images'"),
        ("product.a || sku", "there is no 'sku'"),
        ("length(title)", "there is no 'title'"),
        ("nope(product)", "there is no function 'nope'"),
        ("product.a[?split_url(b)]", "did you mean split_urls"),
        ("abs(product)", None),
        ("product." + "a" * 3000, "at most"),
    ],
)
def test_a_path_that_cannot_be_right(expression: str, words: str | None) -> None:
    """Its roots are checked when it is read: it would find nothing, each time and in silence."""
    if words is None:
        with pytest.raises(ValueError, match="JMESPath"):
            Path(expression, SCOPE)({"product": {}})
    else:
        with pytest.raises(ValueError, match=words):
            Path(expression, SCOPE)


def test_a_path_finds_what_its_parts_are_about() -> None:
    """Names behind a projection, a filter or a pipe are fields of what was found, not of the scope."""
    found = Path("product.items[?sku=='b'].sku | [0]", SCOPE)({"product": PRODUCT})
    assert found == "b"
    assert Path("split_urls(product.nothing)", SCOPE)({"product": PRODUCT}) == []
