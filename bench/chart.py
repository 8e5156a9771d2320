"""A bar chart as SVG, written by hand: no library, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _ROW, _TOP, _LABELS, _FIGURES = 760, 26, 56, 290, 80
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600; font-size: 15px }
  .axis { fill: #57606a } .bar { fill: #8c959f } .ours { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .axis { fill: #9198a1 } .bar { fill: #6e7681 } .ours { fill: #4493f8 }
  }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; ``marked`` ones stand out."""

    label: str
    value: float
    marked: bool


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """A horizontal bar chart from zero, in the order given."""
    scale = (_WIDTH - _LABELS - _FIGURES) / max(row.value for row in rows)
    height = _TOP + _ROW * len(rows) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="10" y="22">{escape(title)}</text>',
        f'<text class="axis" x="10" y="42">{escape(unit)}</text>',
    ]
    for index, row in enumerate(rows):
        y, width = _TOP + _ROW * index, row.value * scale
        kind = "ours" if row.marked else "bar"
        lines += [
            f'<text x="{_LABELS - 8}" y="{y + 16}" text-anchor="end">{escape(row.label)}</text>',
            f'<rect class="{kind}" x="{_LABELS}" y="{y + 2}" width="{width:.1f}" height="{_ROW - 8}"/>',
            f'<text x="{_LABELS + width + 6:.1f}" y="{y + 16}">{row.value:,.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
