"""The house of the tests: a name says its rule in eight words, and a file has one subject."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = ("tests", "examples", "flame_flwr/app-templates")
MOST_WORDS, MOST_LINES = 8, 350
TEST = re.compile(r"^ *def test_(\w+)", re.MULTILINE)

pytestmark = pytest.mark.skipif(not (ROOT / "Makefile").exists(), reason="only in a checkout")


def texts():
    """Return what all files of tests hold, by their paths."""
    files = [file for place in PLACES for file in (ROOT / place).rglob("*.py")]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def test_names_of_tests_have_at_most_eight_words():
    found = [(file, name) for file, text in texts().items() for name in TEST.findall(text)]
    assert len(found) > 1000
    assert [each for each in found if each[1].count("_") >= MOST_WORDS] == []


def test_no_file_of_tests_is_long():
    lines = {file: text.count("\n") for file, text in texts().items() if file.startswith("tests/")}
    assert [file for file, number in lines.items() if number > MOST_LINES] == []
