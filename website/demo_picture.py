"""`./dev demo-picture`: run the demo, and draw what it prints on a terminal as docs/demo.svg."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.terminal_theme import MONOKAI
from rich.theme import Theme

PICTURE: Final = Path(__file__).parents[1] / "docs" / "demo.svg"
COMMAND: Final = [sys.executable, "-m", "aigc_worker", "demo"]
WIDTH: Final = 96
THEME: Final = Theme(
    {
        "demo.address": "#a8a8a8",
        "demo.id": "cyan",
        "demo.submitted": "green",
        "demo.enqueued": "#a8a8a8",
        "demo.failed": "yellow",
        "demo.command": "bold #ffffff",
    }
)
# No @font-face: rich's own template has browsers ask another host for a font.
TEMPLATE: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}">
<title>What ./dev demo prints: four jobs are enqueued, and each gets the vendor's task id</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
{styles}
</style>
<defs>
{lines}
</defs>
<rect fill="#1e1e1e" width="100%" height="100%" rx="8"/>
<g transform="translate({terminal_x}, 20)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Colours(RegexHighlighter):
    """Of the words that tell how a job stands."""

    base_style = "demo."
    highlights = (
        r"(?P<command>^\$ .*$)",
        r"(?P<address>(redis|http)://\S+)",
        r"(?P<id>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})",
        r"(?P<submitted>\bsubmitted\b)",
        r"(?P<enqueued>\benqueued\b)",
        r"(?P<failed>attempt \d  INTCNN\w+: .*$)",
    )


def draw(output: str) -> str:
    """The terminal after this output, as an SVG."""
    with open("/dev/null", "w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, theme=THEME, highlighter=Colours())
        for line in ["$ ./dev demo", *output.rstrip().splitlines()]:
            console.print(console.highlighter(line), no_wrap=True)
        return console.export_svg(title="", theme=MONOKAI, code_format=TEMPLATE, unique_id="demo")


def main() -> int:
    """Run the demo and write the picture; gives the exit code."""
    done = subprocess.run(COMMAND, stdout=subprocess.PIPE, text=True)
    if done.returncode == 0:
        PICTURE.write_text(draw(done.stdout), "utf-8")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
