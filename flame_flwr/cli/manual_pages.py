"""The manual as it was installed: Markdown, found, listed and searched without a network.

The wheel holds the pages of ``docs/`` as they stand, and not the built site: that is many times as
large, and needs packages that nobody else needs wherever a wheel is made.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import flame_flwr
from flame_flwr.errors import DataError
from flame_flwr.text.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ManualPage", "find_page", "nearest", "read_pages", "search"]

FOLDER = Path(flame_flwr.__file__).parent / "docs"

_ENTRY = re.compile(r"^- \[[^\]]+\]\(([\w/-]+\.md)\)", re.M)
_NAME = re.compile(r"^::: ([\w.]+)$", re.M)


@dataclass(frozen=True)
class ManualPage:
    """One page of the manual: its name, such as ``own-csv``, and where it is."""

    name: str
    section: str
    path: Path

    @cached_property
    def text(self) -> str:
        """Its Markdown, with docstrings in place of the names that the reference has."""
        return _NAME.sub(lambda name: _docstring(name[1]), self.path.read_text(encoding="utf-8"))

    @property
    def title(self) -> str:
        """Its first heading."""
        return self.path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")


def read_pages(folder: Path = FOLDER) -> list[ManualPage]:
    """Return all pages: in the order of the first one, then those that only others lead to.

    Raises
    ------
    DataError
        The manual was not installed with the package.
    """
    home = folder / "index.md"
    if not home.is_file():
        raise DataError("the manual is not installed here", detail=str(home))
    sections = re.split(r"^## ", home.read_text(encoding="utf-8"), flags=re.M)
    listed = {"index.md": ""}
    for section in sections[1:]:
        title = section.partition("\n")[0]
        listed |= dict.fromkeys(_ENTRY.findall(section), title)
    found = {path.relative_to(folder).as_posix(): path for path in sorted(_files(folder))}
    order = [name for name in listed if name in found]
    order += [name for name in found if name not in listed]
    return [
        ManualPage(name.removesuffix(".md"), listed.get(name, "Look up"), found[name])
        for name in order
    ]


def _files(folder: Path) -> list[Path]:
    return [*folder.glob("*.md"), *folder.glob("reference/*.md")]


def find_page(name: str) -> ManualPage:
    """Return a page by its name, with or without ``.md``, or the end of its name.

    Raises
    ------
    DataError
        There is none, or more than one.
    """
    pages = {page.name: page for page in read_pages()}
    wanted = name.removesuffix(".md").removeprefix("docs/")
    if wanted in pages:
        return pages[wanted]
    ends = [page for page in pages.values() if page.name.endswith(f"/{wanted}")]
    if len(ends) != 1:
        near = did_you_mean(list(pages), wanted)
        more = f"; {near}" if near else ": `flame-flwr docs --list` has all"
        raise DataError(f"the manual has no page {wanted!r}{more}")
    return ends[0]


def search(words: str) -> Iterator[tuple[ManualPage, str, str]]:
    """Give every line that has all of these words: its page, its heading, the line.

    The case does not matter. Headings come before other lines of their page.
    """
    wanted = words.lower().split()
    for page in read_pages():
        heading, hits = page.title, []
        for line in page.text.splitlines():
            if line.startswith("#"):
                heading = line.lstrip("# ")
            if all(word in line.lower() for word in wanted):
                hits.append((not line.startswith("#"), heading, line.strip()))
        for _, found_in, line in sorted(hits, key=lambda hit: hit[0]):
            yield page, found_in, line


def nearest(words: str, most: int = 5) -> list[tuple[ManualPage, str]]:
    """Return the headings that share most with these words, the nearest first.

    A message that somebody pastes has names and numbers of its own. A word counts the more, the
    fewer headings have it.
    """
    headings = [
        (page, line.lstrip("# "))
        for page in read_pages()
        for line in page.path.read_text(encoding="utf-8").splitlines()
        if line.startswith("#")
    ]
    wanted = _words(words)
    shared = [wanted & _words(heading) for _, heading in headings]
    in_headings = Counter(word for found in shared for word in found)
    scores = [sum(1 / in_headings[word] for word in found) for found in shared]
    order = sorted(range(len(headings)), key=lambda number: -scores[number])
    return [headings[number] for number in order[:most] if len(shared[number]) > 1]


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{2,}", text.lower()))


def _docstring(name: str) -> str:
    """Return the heading, the signature and the docstring of a public name, as Markdown."""
    module, _, attribute = name.rpartition(".")
    try:
        thing = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        return f"### {attribute}\n\nNot shown: {error}."
    try:
        signature = f"{attribute}{inspect.signature(thing)}" if callable(thing) else attribute
    except ValueError:
        signature = attribute
    about = inspect.getdoc(thing) or ""
    return f"### {attribute}\n\n````text\n{signature}\n\n{about}\n````"
