"""The code blocks of the README and of the pages: found here, and run as a reader would.

A block is what stands between two lines of three backticks; the first one says its language and,
behind it, the name by which a test finds it.
"""

import contextlib
import io
import os
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import forked_python

_BLOCK = re.compile(r"^```(\w*)[ ]?(.*)\n((?:.*\n)*?)```$", re.M)


@dataclass(frozen=True)
class Block:
    """A block of a page: its language, its name or ``""``, and its text."""

    language: str
    name: str
    text: str


def blocks(page):
    """Return all blocks of a page, in their order."""
    text = Path(page).read_text(encoding="utf-8")
    found = [Block(*groups) for groups in _BLOCK.findall(text)]
    assert text.count("```") == 2 * len(found), f"{page}: a block without an end"
    return found


def texts(page, language, name=None, starts=""):
    """Return the texts of a page's blocks of a language; of a name, or with such a beginning."""
    return [
        block.text
        for block in blocks(page)
        if block.language == language
        and name in (None, block.name)
        and block.text.startswith(starts)
    ]


def named(page):
    """Return the texts of a page's blocks that have a name, by their names, which differ."""
    found = [block for block in blocks(page) if block.name]
    by_name = {block.name: block.text for block in found}
    assert len(by_name) == len(found), f"{page}: two blocks have one name"
    return by_name


def all_named(page):
    """Return the texts of a page's blocks, every one of which has a name, by their names."""
    by_name = named(page)
    assert len(by_name) == len(blocks(page)), f"{page}: a block without a name"
    return by_name


def block(page, name):
    """Return the text of the only block of a name."""
    [text] = [each.text for each in blocks(page) if each.name == name]
    return text


def with_output(page, but=()):
    """Return the page's Python, block by block, each with the text block right behind it.

    A block named ``shown-...`` has none: it draws, and the site has what. ``but`` are blocks that
    only define.
    """
    found = [each for each in blocks(page) if each not in but]
    pairs = [
        (one.text, "" if is_shown(one) else two.text)
        for one, two in pairwise([*found, Block("", "", "")])
        if one.language == "python" and (is_shown(one) or two.language == "text")
    ]
    assert len(pairs) == sum(each.language == "python" for each in found), f"{page}: no output"
    return pairs


def is_shown(block):
    """Say whether the site shows what a block draws or says, and the page does not quote it."""
    return block.name.startswith("shown-")


def printed_by(source, space, name="a page"):
    """Run Python of a page in a namespace, and return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, name, "exec"), space)
    return printed.getvalue()


def run_python(folder, script, expect=0, **environment):
    """Run a script in a folder by a process of its own; return its output."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    done = forked_python.run_python(script, cwd=folder, env={**clean, **environment})
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout
