"""A stranger's texts as a terminal and a file may have them."""

import pytest

from flame_flwr.text.shown_text import one_line, one_line_each

FORGED = "\x1b[2J\nround 7: done\r\x07\ud800"


class Textless:
    def __str__(self):
        raise ValueError("none")


LABELS = [FORGED, {FORGED: 1}, Textless(), 10**6000, range(10**6000), None]


@pytest.mark.parametrize("label", LABELS, ids=lambda label: type(label).__name__)
def test_any_label_is_one_short_line(label):
    for shown in (one_line(label, 20), one_line_each([label] * 3, most=2, longest=20)):
        assert shown.isprintable()
        shown.encode()
        assert len(shown) <= 2 * 25 + len(", ...")


def test_what_has_no_text_is_told_by_type():
    assert one_line(10**6000, 100) == "(a int that has no text)"
    assert one_line_each([1, Textless()]) == "1, (a Textless that has no text)"


def test_few_labels_are_told_whole():
    assert one_line_each(["a", 2, 0.5]) == "a, 2, 0.5"
    assert one_line_each(map(str, range(12)), most=3) == "0, 1, 2, ..."
    assert one_line_each([]) == ""
