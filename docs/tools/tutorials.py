"""Runs the manual's tutorials as notebooks; what they print and draw then stands below their code.

A page is plain Markdown. Of its blocks, Python runs, and shell where the block's name begins with
``shown``. A block that is named as a file is written first. What the page quotes below a block, by
which tests and other viewers know it, gives way to what the block said when the site was built.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

TUTORIALS = (
    *("first-analysis", "own-csv", "notebook"),
    *("analysis", "statistics", "regression", "strategies", "torch", "images", "sklearn"),
)
"""Pages that run when the site is built, and that it offers as notebooks."""

AT_ONCE = 2
"""Notebooks that run side by side: each is a process that imports much."""

MOST_LINES = 24
"""Lines of an output that a page shows: of more, the first and the last ones."""

_BLOCK = re.compile(r"^```(\w*)[ ]?(.*)\n((?:.*\n)*?)```\n", re.M)
_PICTURES = {"image/svg+xml": "svg", "image/png": "png"}


@dataclass(frozen=True)
class Shown:
    """What a block of a page said or drew: ``txt``, ``html``, ``svg`` or ``png``."""

    kind: str
    content: str

    @property
    def is_picture(self) -> bool:
        """Whether it is a file beside the page."""
        return self.kind in _PICTURES.values()

    def file(self) -> bytes:
        """Return a picture as the file that shows it."""
        return base64.b64decode(self.content) if self.kind == "png" else self.content.encode()


def run_all(pages: Mapping[str, str]) -> dict[str, NotebookNode]:
    """Run pages as notebooks, and return these with what they said.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        A cell failed.
    """
    return asyncio.run(_run_all(pages))


def shown(notebook: NotebookNode) -> dict[int, list[Shown]]:
    """Return what each block of a page said, by its number in the page."""
    return {
        cell.metadata["block"]: list(_shown(cell.outputs))
        for cell in notebook.cells
        if "block" in cell.metadata
    }


def as_cells(markdown: str) -> str:
    """Return a page as jupytext reads it: each block that runs is a cell which has its number."""
    text, end, ran = [], 0, False
    for number, block in enumerate(_BLOCK.finditer(markdown)):
        between = markdown[end : block.start()]
        language, name, code = block.groups()
        if not (ran and language == "text" and not between.strip()):
            text.append(between + _cell(number, language, name, code))
        ran, end = _runs(language, name), block.end()
    return "".join([*text, markdown[end:]])


def with_shown(markdown: str, said: Mapping[int, list[Shown]], name: str) -> str:
    """Return a page with what each block said in place of what the page quotes."""
    text, end, ran = [], 0, False
    for number, block in enumerate(_BLOCK.finditer(markdown)):
        between = markdown[end : block.start()]
        if not (ran and block[1] == "text" and not between.strip()):
            text.append(between + block.group())
        for place, each in enumerate(said.get(number, [])):
            text.append(_as_markdown(each, picture_name(name, number, place, each.kind)))
        ran, end = number in said, block.end()
    return "".join([*text, markdown[end:]])


def picture_name(page: str, block: int, place: int, kind: str) -> str:
    """Return the name that a picture has in the site."""
    return f"drawn/{page}-{block}-{place}.{kind}"


def _runs(language: str, name: str) -> bool:
    return language == "python" or name.startswith("shown")


def _cell(number: int, language: str, name: str, code: str) -> str:
    if not _runs(language, name):
        return f"```\n{code}```\n"
    start = f"```python block={number}\n"
    if name.endswith(".py"):
        return f"```python\n%%writefile {name}\n{code}```\n\n{start}%run {name}\n```\n"
    return f"{start}{'' if language == 'python' else '%%bash' + chr(10)}{code}```\n"


async def _run_all(pages: Mapping[str, str]) -> dict[str, NotebookNode]:
    places = asyncio.Semaphore(AT_ONCE)

    async def run(markdown: str) -> NotebookNode:
        async with places:
            return await _run(markdown)

    return dict(zip(pages, await asyncio.gather(*map(run, pages.values())), strict=True))


async def _run(markdown: str) -> NotebookNode:
    import jupytext
    from nbclient import NotebookClient

    notebook = jupytext.reads(as_cells(markdown), fmt="md")
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    with tempfile.TemporaryDirectory(prefix="flame-flwr-tutorial-") as folder:
        client = NotebookClient(
            notebook,
            startup_timeout=300,
            timeout=300,
            record_timing=False,
            coalesce_streams=True,
            # Else each says that what it is told by this machine is not encrypted.
            extra_arguments=["--IPKernelApp.log_level=40"],
            resources={"metadata": {"path": folder}},
        )
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        await client.async_execute(env={**os.environ, "PATH": path})
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                if "text" in output:
                    output.text = output.text.replace(f"{folder}/", "")
    return notebook


def _shown(outputs: list[Any]) -> Iterator[Shown]:
    for is_printed, some in groupby(outputs, lambda output: output.output_type == "stream"):
        if is_printed:
            yield Shown("txt", "".join(output.text for output in some))
            continue
        for output in some:
            kind, mime = next(
                (kind, mime)
                for mime, kind in {**_PICTURES, "text/html": "html", "text/plain": "txt"}.items()
                if mime in output.data
            )
            yield Shown(kind, output.data[mime])


def _as_markdown(each: Shown, picture: str) -> str:
    if each.kind == "html":
        # A table as the site's others are, which scrolls alone on a small screen.
        html = re.sub(r"<style.*?</style>\s*", "", each.content, flags=re.S)
        html = re.sub(r'<table border="1" class="dataframe">', "<table>", html)
        return f'\n<div class="output">\n{html}\n</div><!-- output ends -->\n'
    if each.is_picture:
        return f"\n![What this draws]({picture})\n"
    lines = each.content.rstrip().splitlines()
    if (more := len(lines) - MOST_LINES) > 0:
        half = MOST_LINES // 2
        lines = [*lines[:half], f"... {more} more lines ...", *lines[-half:]]
    return "\n```text\n" + "\n".join(lines) + "\n```\n"
