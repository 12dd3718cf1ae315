"""The check of the manual's sentences finds what is too long, and passes over what is no prose."""

import pytest
from prose import main, pages, problems, sentences, words

LONG = " ".join(["word"] * 25)


def found(text):
    return [(problem.line, problem.text.partition(":")[0]) for problem in problems(text, "a page")]


def test_the_manual_has_no_long_sentence():
    assert main() == 0
    assert len(pages()) > 40


@pytest.mark.parametrize(
    "text",
    [
        f"A line.\n\nThis is {LONG}.",
        f"- An item.\n- {LONG.capitalize()}.",
        f"| a table |\n1. {LONG.capitalize()}\n   and more.",
        f"Short. {LONG.capitalize()}. Short.",
        f"[{LONG}](elsewhere.md)",
    ],
)
def test_a_long_sentence_is_found(text):
    assert [said for _, said in found(text)] in (
        ["a sentence of 25 words"],
        ["a sentence of 27 words"],
    )


@pytest.mark.parametrize(
    "text",
    [
        f"# {LONG}",
        f"| {LONG} |",
        f"```text\n{LONG}\n```",
        f"- An item:\n\n  ```python x.py\n  {LONG}\n  ```",
        f"Say `{LONG}`.",
        "One. " * 30,
        " ".join(["word"] * 24) + ": " + " ".join(["word"] * 24) + ".",
    ],
)
def test_what_is_no_long_sentence_passes(text):
    assert found(text) == []


def test_lines_are_counted_past_code():
    assert found(f"```\na\nb\n```\n\n{LONG}") == [(6, "a sentence of 25 words")]


def test_a_long_paragraph_is_found():
    assert found("One two three. " * 41) == [(1, "a paragraph of 123 words")]


def test_code_and_links_count_as_words():
    text = "Take `a. B c` and [the page](x.md). Then go."
    assert sentences(text) == ["Take `code` and the page.", "Then go."]
    assert words("Take `code` and the page.") == 5


def test_words_that_say_little_are_named():
    assert found("Do it in order to win.") == [(1, '"in order to"')]
