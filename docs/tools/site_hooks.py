"""What `mkdocs build` does to the pages of docs/, which stay plain Markdown for other viewers.

Pages from elsewhere in the source become pages of the site, links follow them, and names behind
the language of a code block, by which tests find it, become its title.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jupytext
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
MOVED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files of the source and the pages of the site that show them; README.md has a page of its own."""

NOTEBOOKS = ("first-analysis", "own-csv", "notebook", "strategies", "torch", "images", "sklearn")
"""Tutorials that are offered as notebooks, too."""

SEARCH = {"failures": 5.0, "changelog": 0.2, "contributing": 0.5, "reference/": 0.5}
"""What counts more or less in a search, by how the page's name begins: a message comes first."""

_HEAD = re.compile(r"^\| (?:what is seen|---) \|.*\n", re.M)
_ROW = re.compile(r"^\| (.+?) \| (.+) \|$", re.M)
"""Rows of the page of messages: each is a section of the site, so that a search leads to it."""

_LOADED = re.compile(
    r"""(?:\bsrc=|<link\b[^>]*\bhref=|url\(|@import\s+)["']?((?:https?:)?//[^"'\s>)]+)"""
)

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^(\s*```)(\w+) (\S.*)$", re.M)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the examples' pages and pictures, and what stands at the top of the source."""
    for name, page in _moved().items():
        if name != "README.md":
            text = (ROOT / name).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=text))
    for picture in sorted(ROOT.glob("examples/*/pictures/*")):
        place = picture.relative_to(ROOT).as_posix()
        files.append(File.generated(config, place, abs_src_path=str(picture)))
    for name in NOTEBOOKS:
        text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        files.append(File.generated(config, f"{name}.ipynb", content=_notebook(text)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links and names of code blocks into those of the site."""
    source = {page: name for name, page in _moved().items()}
    source["index.md"] = "docs/index.md"
    here = source.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.M | re.S)
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = _FENCE.sub(_with_title, part)
        else:
            parts[place] = _LINK.sub(
                lambda link: _link(link, posixpath.dirname(here), page.file.src_uri), part
            )
    text = "".join(parts)
    name = page.file.src_uri.removesuffix(".md")
    for beginning, boost in SEARCH.items():
        if name.startswith(beginning) and name != "reference/index":
            page.meta["search"] = {"boost": boost}
    if name == "failures":
        text = _ROW.sub(_section, _HEAD.sub("", text))
    if name in NOTEBOOKS:
        title, _, rest = text.partition("\n")
        text = f"{title}\n\n[This page as a notebook]({name}.ipynb)\n{rest}"
    return text


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site of which a page loads something from elsewhere.

    Raises
    ------
    PluginError
        A page names a script, a style or a picture on another host.
    """
    for page in sorted(Path(config.site_dir).rglob("*.html")):
        for found in _LOADED.findall(page.read_text(encoding="utf-8")):
            raise PluginError(f"{page} loads {found}: the site is to work without a network")


def _section(row: re.Match[str]) -> str:
    message, mend = row.groups()
    return f"### {message}\n\n{mend[0].upper()}{mend[1:].rstrip('.')}.\n"


def _notebook(markdown: str) -> str:
    """Return a page as a notebook: a block that is a file is written, and then run."""

    def cells(block: re.Match[str]) -> str:
        name, code = block.groups()
        return f"```python\n%%writefile {name}\n{code}```\n\n```python\n%run {name}\n```"

    text = re.sub(r"^```python (\S+\.py)\n(.*?)^```$", cells, markdown, flags=re.M | re.S)
    text = re.sub(r"^```(?!python$)\w+.*$", "```", text, flags=re.M)
    return str(jupytext.writes(jupytext.reads(text, fmt="md"), fmt="ipynb"))


def _moved() -> dict[str, str]:
    examples = {
        file.relative_to(ROOT).as_posix(): f"examples/{file.parent.name}.md"
        for file in sorted(ROOT.glob("examples/*/README.md"))
    }
    return {**MOVED, **examples}


def _with_title(fence: re.Match[str]) -> str:
    start, language, name = fence.groups()
    shown = "." in name or "/" in name
    return f'{start}{language} title="{name}"' if shown else f"{start}{language}"


def _link(link: re.Match[str], folder: str, page: str) -> str:
    """Return a link of a file of the source as one of the site; its text where it has no page."""
    mark, text, target = link.groups()
    path, hash_, anchor = target.partition("#")
    if ":" in path or not path:
        return link.group()
    found = posixpath.normpath(posixpath.join(folder, path))
    moved = _moved()
    if (there := moved.get(found) or moved.get(f"{found}/README.md")) is None:
        if found.startswith("docs/"):
            there = found.removeprefix("docs/")
        elif mark:
            there = found
        else:
            return f"{text} (`{found}` in the source)" if f"`{found}`" != text else text
    to = posixpath.relpath(there, posixpath.dirname(page) or ".")
    return f"{mark}[{text}]({to}{hash_}{anchor})"
