"""Checks that the manual is read easily: short sentences, short paragraphs. for `make lint`.

A sentence has fewer than 25 words, a paragraph at most 120. A colon ends one, as one stops there
when reading. Code blocks, tables and headings are passed over; a piece of code is one word.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
WORDS_OF_A_SENTENCE = 24
WORDS_OF_A_PARAGRAPH = 120
WORDY = {
    "in order to": "to",
    "utilize": "use",
    "utilise": "use",
    "prior to": "before",
    "in the event that": "if",
    "due to the fact that": "because",
    "please note": "nothing: say it",
    "it should be noted": "nothing: say it",
    "leverage": "use",
    "facilitate": "help",
    "respectively": "two sentences",
}
"""Words that say less than shorter ones, and these."""

_CODE = re.compile(r"^( *)(```+)[^\n]*\n.*?^ *\2 *$", re.M | re.S)
_ITEM = re.compile(r"\s*(?:[-*]|\d+\.)\s+")
_APART = ("#", "|", ":::", "![", "<")
_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+(?=[\"'(*_`]*[A-Z0-9`@])|(?<=:)\s+")


class Problem(NamedTuple):
    """What is hard to read, and where."""

    place: str
    line: int
    text: str


def pages() -> list[Path]:
    """Return what is checked: the manual, the README and those of the examples and templates."""
    return sorted(
        {
            ROOT / "README.md",
            ROOT / "CONTRIBUTING.md",
            *ROOT.glob("docs/*.md"),
            *ROOT.glob("examples/*/README.md"),
            *ROOT.glob("flame_flwr/app-templates/*/README.md"),
        }
    )


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Give each paragraph and each item of a list, with the number of its first line."""
    text = _CODE.sub(lambda code: "\n" * code.group().count("\n"), text)
    start, parts = 0, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], 1):
        item = _ITEM.match(line)
        apart = not line.strip() or line.lstrip().startswith(_APART)
        if parts and (apart or item):
            yield start, " ".join(parts)
            parts = []
        if not apart:
            if not parts:
                start = number
            parts.append(line[item.end() :] if item else line.strip())


def sentences(paragraph: str) -> list[str]:
    """Return the sentences of a paragraph, each piece of code in them as one word."""
    plain = re.sub(r"(`+).+?\1", "`code`", paragraph)
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", plain)
    return [each for each in _END.split(plain) if each]


def words(text: str) -> int:
    """Return how many words there are: what has a letter or a digit in it."""
    return sum(any(map(str.isalnum, word)) for word in text.split())


def problems(text: str, place: str) -> Iterator[Problem]:
    """Give what is hard to read in a page."""
    for line, paragraph in paragraphs(text):
        found = sentences(paragraph)
        if (count := sum(map(words, found))) > WORDS_OF_A_PARAGRAPH:
            yield Problem(place, line, f"a paragraph of {count} words: {paragraph[:60]}...")
        for sentence in found:
            if (count := words(sentence)) > WORDS_OF_A_SENTENCE:
                yield Problem(place, line, f"a sentence of {count} words: {sentence}")
        for wordy, plain in WORDY.items():
            if re.search(rf"\b{wordy}\b", paragraph, re.I):
                yield Problem(place, line, f'"{wordy}": say {plain}')


def main() -> int:
    """Print what is hard to read; 1 where anything is."""
    found = [
        problem
        for page in pages()
        for problem in problems(page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix())
    ]
    for place, line, text in found:
        sys.stdout.write(f"{place}:{line}: {text}\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
