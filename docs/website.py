"""Builds the site of these pages with zensical, into site/html: `python docs/website.py [FOLDER]`."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

PAGES = Path(__file__).parent
SITE = PAGES.parent / "site"
SHOWN = {".md", ".png", ".svg", ".css"}
# A folder of data can be looked into where the sources lie; on the site it is a name.
_TO_FOLDER = re.compile(r"\[([^\]]+)\]\([^):]+/\)")
_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SUBGRAPH = re.compile(r'^ +subgraph (\w+)\["([^"]+)"\]\n(.*?)^ +end$', re.MULTILINE | re.DOTALL)
_LABEL = re.compile(r'(\w+)\["([^"]+)"\]')
# Arrows may follow each other: what is below one is above the next.
_ARROW = re.compile(r'(\w+)(?:\["[^"]+"\])? --> (?=(\w+))')
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FOLDER = re.compile(r'"(?P<folder>[a-z]+)/\*"')


def build(folder: Path) -> Path:
    """Writes the folder anew, and returns the site's first page; ends with zensical's words where it refuses one."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in PAGES.rglob("*"):
        if path.suffix in SHOWN:
            copy = folder / "pages" / path.relative_to(PAGES)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".md":
                copy.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
            else:
                shutil.copyfile(path, copy)
    (folder / "zensical.toml").write_text(settings(), encoding="utf-8")
    # In strict mode a link to no page is refused.
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(folder / "zensical.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(_COLOUR.sub("", done.stdout + done.stderr))
    return folder / "html" / "index.html"


def page(text: str) -> str:
    """A page as the site has it: without links to folders, and with its diagram as boxes that need no script."""
    return _DIAGRAM.sub(lambda match: _boxes(match[1]), _TO_FOLDER.sub(r"\1", text))


def _boxes(diagram: str) -> str:
    """A box for each subgraph, with its layers from the top to the bottom."""
    boxes = []
    for name, title, body in _SUBGRAPH.findall(diagram):
        labels = dict(_LABEL.findall(diagram))
        layers: list[str] = []
        for above, below in _ARROW.findall(body):
            # Who begins another chain stands beside it, and says on what it stands.
            if not layers or above in layers:
                layers += [each for each in (above, below) if each not in layers]
            else:
                labels[above] += f" → {labels[below]}"
                layers.append(above)
        shown = "".join(f"<li>{html.escape(labels[each])}</li>" for each in layers)
        boxes.append(f'<section class="room {name}"><strong>{html.escape(title)}</strong><ol>{shown}</ol></section>')
    return f'<div class="rooms">{"".join(boxes)}</div>'


def settings() -> str:
    """The settings, every page of a folder named where `FOLDER/*` stands for them."""
    return _FOLDER.sub(lambda match: _named(match["folder"]), (PAGES / "zensical.toml").read_text(encoding="utf-8"))


def _named(folder: str) -> str:
    return ", ".join(f'"{path.relative_to(PAGES).as_posix()}"' for path in sorted((PAGES / folder).glob("*.md")))


if __name__ == "__main__":
    print(f"The site: {build(Path(sys.argv[1]) if len(sys.argv) > 1 else SITE)}")  # noqa: T201
