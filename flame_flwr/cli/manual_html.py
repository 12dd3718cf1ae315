"""The whole manual as one HTML file: to carry it to a machine without a network."""

from __future__ import annotations

import base64
import html
import mimetypes
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.cli.manual_pages import ManualPage, read_pages

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["manual_html"]

_TEMPLATE = Path(__file__).with_name("manual-template.html")


def manual_html() -> str:
    """Return all pages as one file: no script, and nothing from elsewhere."""
    pages = read_pages()
    sections: dict[str, list[str]] = {}
    for page in pages:
        line = f'<li><a href="#{_anchor(page.name)}">{html.escape(page.title)}</a></li>'
        sections.setdefault(page.section, []).append(line)
    listed = "".join(
        f"{f'<b>{html.escape(title)}</b>' if title else ''}<ul>{''.join(lines)}</ul>"
        for title, lines in sections.items()
    )
    known = {page.name: page for page in pages}
    body = "".join(
        "".join(('<section id="', _anchor(page.name), '">', _rendered(page, known), "</section>"))
        for page in pages
    )
    text = _TEMPLATE.read_text(encoding="utf-8")
    return text.replace("@PAGES@", listed).replace("@MANUAL@", body)


def _anchor(page: str, heading: str = "") -> str:
    return f"{page.replace('/', '-')}--{heading}"


def _rendered(page: ManualPage, known: Mapping[str, ManualPage]) -> str:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(page.text)
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", _anchor(page.name, _slug(tokens[number + 1].content)))
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("href", _target(str(child.attrGet("href")), page, known))
            elif child.type == "image":
                if source := _picture(page.path.parent / str(child.attrGet("src"))):
                    child.attrSet("src", source)
                else:  # of an example, which is not installed: what it shows
                    child.type, child.tag = "text", ""
    rendered: Any = parser.renderer.render(tokens, parser.options, {})
    return str(rendered)


def _slug(title: str) -> str:
    """Return the anchor of a heading, as viewers of Markdown make it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _target(link: str, page: ManualPage, known: Mapping[str, ManualPage]) -> str:
    """Return where a link leads in the one file; what is in the source alone leads nowhere."""
    path, _, heading = link.partition("#")
    if ":" in path:
        return link
    folder = posixpath.dirname(page.name)
    found = posixpath.normpath(posixpath.join(folder, path.removesuffix(".md")))
    name = found if path else page.name
    return f"#{_anchor(name, heading)}" if name in known else "#"


def _picture(path: Path) -> str:
    """Return a picture as a ``data:`` URL; nothing where it is not installed."""
    if not path.is_file():
        return ""
    kind = mimetypes.guess_type(path.name)[0]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
