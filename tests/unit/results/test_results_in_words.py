"""A result that Python writes in its own way: people read words for it, and files keep it."""

import enum
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from flame_flwr.results.report_files import inline
from flame_flwr.results.text_form import file_text, final_line


class Arm(enum.Enum):
    LOW_DOSE = 1
    F = "women alone"


def made_here():
    @dataclass
    class Stay:
        days: float
        arm: Arm

    class Fit:
        pass

    return Stay(2.5, Arm.LOW_DOSE), Fit()


STAY, FIT = made_here()
SERIES = pd.Series({"low dose": 1.5, "high": 2.0}, name="days")
CASES = {
    "nothing": (None, "no value", "no value"),
    "an enum": (Arm.LOW_DOSE, "LOW DOSE", "arm: LOW DOSE"),
    "an enum of texts": (Arm.F, "women alone", "arm: F"),
    "an object": (FIT, "a fit", "a fit"),
    "a text that looks so": ("<a.Fit object at 0x7f>", "<a.Fit object at 0x7f>", "a fit"),
    "a local class": (
        STAY,
        "Stay(days=2.5, arm=LOW DOSE)",
        [["days", "2.5"], ["arm", "LOW DOSE"]],
    ),
    "a dict": (
        {"arm": Arm.LOW_DOSE, "of": FIT, "on": np.True_, "p": None, "by": "<A.B: 1>"},
        "{'arm': LOW DOSE, 'of': a fit, 'on': np.True_, 'p': None, 'by': '<A.B: 1>'}",
        [
            ["arm", "LOW DOSE"],
            ["of", "a fit"],
            ["on", "yes"],
            ["p", "no value"],
            ["by", "<A.B: 1>"],
        ],
    ),
    "a series": (
        SERIES,
        "\n          days\nlow dose   1.5\nhigh       2.0",
        [["low dose", "1.5"], ["high", "2.0"]],
    ),
    "a series of levels": (
        SERIES.rename(None).rename_axis("arm"),
        "\n          value\narm            \nlow dose    1.5\nhigh        2.0",
        [["low dose", "1.5"], ["high", "2.0"]],
    ),
}


@pytest.mark.parametrize(("value", "said", "shown"), CASES.values(), ids=CASES)
def test_terminal_and_report_say_it_in_words(value, said, shown, tmp_path):
    assert final_line(value).removeprefix("Final result:").removeprefix(" ") == said
    path = tmp_path / "result.txt"
    path.write_text(file_text(value, path.name))
    assert path.read_text() == str(value)
    [file] = inline(tmp_path, [path])
    assert (file.table.rows if file.table else file.text) == shown


@pytest.mark.parametrize(
    "value",
    [
        pd.Series(range(3), pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)])),
        pd.Series(["two  gaps", "x"]),
        pd.Series(["", "x"]),
        pd.Series(["x", "y"], ["", "b"]),
        pd.Series(["a"], dtype="category"),
        pd.Series(range(200)),
        pd.Series([], dtype="float64"),
    ],
)
def test_an_unlabelled_series_stays_text(value, tmp_path):
    path = tmp_path / "result.txt"
    path.write_text(file_text(value, path.name))
    [file] = inline(tmp_path, [path])
    assert file.table is None
    assert file.text == path.read_text()


def test_a_hostile_text_costs_no_minutes(tmp_path):
    for number, text in enumerate(["'\\" * 10_000, "a." * 10_000, "<function " * 2000]):
        path = tmp_path / f"{number}.txt"
        path.write_text(text)
        assert inline(tmp_path, [path])[0].text == text


@pytest.mark.parametrize(
    "text", ["age <40: 12 patients, >60: 8", "Hb <range: 12.1-15.0>", "p <0.05: 3> of <p.value: 7>"]
)
def test_figures_between_brackets_are_no_enum(text, tmp_path):
    path = tmp_path / "result.txt"
    path.write_text(text)
    assert inline(tmp_path, [path])[0].text == text
