"""What `mkdocs build` does to the pages of docs/, which stay plain Markdown for other viewers.

Pages from elsewhere in the source become pages of the site, links follow them, and names behind
the language of a code block, by which tests find it, become its title.
"""

from __future__ import annotations

import html
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import tutorials
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

_SAID: dict[str, dict[int, list[tutorials.Shown]]] = {}
"""What the blocks of each tutorial said when the site was built."""

SEARCH = {"failures": 5.0, "changelog": 0.2, "contributing": 0.5, "reference/": 0.5}
"""What counts more or less in a search, by how the page's name begins: a message comes first."""

_LOADED = re.compile(
    r"""(?:\bsrc=|<link\b[^>]*\bhref=|url\(|@import\s+)["']?((?:https?:)?//[^"'\s>)]+)"""
)

_TABLE = re.compile(r'<div class="output">.*?<!-- output ends -->|<table>(.*?)</table>', re.S)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_PAGE_LINK = re.compile(r"\]\(([\w./-]+)\.md")
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
    texts = {
        name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        for name in tutorials.TUTORIALS
    }
    for name, notebook in tutorials.run_all(texts).items():
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = _PAGE_LINK.sub(r"](\1.html", _linked(cell.source, f"{name}.md"))
        files.append(File.generated(config, f"{name}.ipynb", content=nbformat.writes(notebook)))
        _SAID[name] = tutorials.shown(notebook)
        for block, all_shown in _SAID[name].items():
            for place, each in enumerate(all_shown):
                if each.is_picture:
                    picture = tutorials.picture_name(name, block, place, each.kind)
                    files.append(File.generated(config, picture, content=each.file()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links and names of code blocks into those of the site."""
    name = page.file.src_uri.removesuffix(".md")
    if name in _SAID:
        markdown = tutorials.with_shown(markdown, _SAID[name], name)
    text = _linked(markdown, page.file.src_uri)
    for beginning, boost in SEARCH.items():
        if name.startswith(beginning) and name != "reference/index":
            page.meta["search"] = {"boost": boost}
    if name in _SAID:
        title, _, rest = text.partition("\n")
        text = f"{title}\n\n[This page as a notebook]({name}.ipynb)\n{rest}"
    return text


def on_page_content(content: str, **_: Any) -> str:
    """Have the stylesheet know tables of words, of which a phone shows a row as a paragraph."""
    return _TABLE.sub(_table_of_words, content)


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


def _table_of_words(table: re.Match[str]) -> str:
    """Return a table for the stylesheet: of three and more columns each cell has its head."""
    if table[1] is None:  # numbers that a tutorial's code said
        return table.group()
    heads = [
        re.sub(r"<[^>]*>", "", head).strip()
        for head in re.findall(r"<th\b[^>]*>(.*?)</th>", table[1], re.S)
    ]

    def row(cells: re.Match[str]) -> str:
        places = iter(heads)

        def cell(start: re.Match[str]) -> str:
            head = next(places, "")
            shown = head and head != heads[0] and len(heads) > 2
            return f'{start.group()} data-head="{html.escape(head)}"' if shown else start.group()

        return re.sub(r"<td\b", cell, cells.group())

    rows = re.sub(r"<tr\b.*?</tr>", row, table.group(), flags=re.S)
    return f'<div class="words">{rows}</div>'


def _linked(markdown: str, page: str) -> str:
    """Return a page's text with the site's links, and with titles of code blocks."""
    source = {page: name for name, page in _moved().items()} | {"index.md": "docs/index.md"}
    folder = posixpath.dirname(source.get(page, f"docs/{page}"))
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.M | re.S)
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = _FENCE.sub(_with_title, part)
        else:
            parts[place] = _LINK.sub(lambda link: _link(link, folder, page), part)
    return "".join(parts)


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
