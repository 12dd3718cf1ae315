"""What a statistic shows at a prompt and in a notebook: its figures, as people read them."""

import datetime
import inspect
from fractions import Fraction

import pytest

from flame_flwr import statistics
from flame_flwr.statistics import Moments, RowCount, Statistic, ValueCounts, describe

from .conftest import KINDS, table

TABLE = {
    "age": [0.1, 50.0, 61.7],
    "sex": ["f", "m", "f"],
    "seen": [datetime.date(2026, 1, day) for day in (1, 2, 6)],
}
SMALL = table([(0.1, "f", 1, 0, 0.1), (50.0, "m", 2, 1, 0.7), (61.7, "f", 6, 1, 0.9)])


def test_every_statistic_is_looked_at():
    public = [getattr(statistics, name) for name in statistics.__all__]
    found = {type(make(SMALL)) for make, _ in KINDS.values()}
    assert {one for one in public if inspect.isclass(one)} - {Statistic} <= found


def test_a_statistic_shows_its_figures():
    assert repr(Moments.from_data([0.1, 0.2])) == (
        "Moments(n=2, sum=0.3, mean=0.15, variance=0.005, std=0.0707107)"
    )
    assert str(RowCount.from_data([1, 2]).withheld()) == "RowCount(rows=0, suppressed=1)"


def test_large_figures_are_whole_numbers():
    assert repr(Moments.from_data([1234567, 7654321])).startswith(
        "Moments(n=2, sum=8888888, mean=4444444, "
    )
    shown = str(describe({"cost": [999999.7, 1234567.25, 7654321.0]})).splitlines()
    assert [line.split()[1] for line in shown if line.startswith(("min", "max"))] == [
        "1000000",
        "7654321",
    ]
    assert repr(Moments.from_data([1e20])).startswith("Moments(n=1, sum=1e+20, ")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changed", [lambda s: s, lambda s: s.withheld(), lambda s: s.merge(s)])
def test_no_fraction_is_shown(kind, changed):
    one = KINDS[kind][0](SMALL)
    shown = [repr(changed(one)), str([changed(one)]), f"{changed(one)}"]
    assert not [text for text in shown if "Fraction" in text or len(text) > 2000]
    assert not any(isinstance(value, Fraction) for value in leaves(changed(one).result()))


def leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [leaf for one in value for leaf in leaves(one)]
    return [value]


def test_a_description_is_a_table():
    lines = str(describe(TABLE)).splitlines()
    assert lines[0] == "Description of 3 rows"
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert lines[1].split() == ["age", "sex", "seen"]
    assert rows["count"] == ["3", "3", "3"]
    assert rows["mean"] == ["37.2667", "2026-01-03"]
    assert rows["top"] == ["f"]
    hidden = describe(TABLE).with_min_count(5)
    assert str(hidden).startswith("Description of 0 rows, withheld in part or wholly at 1 node\n")


def test_a_notebook_shows_names_as_text():
    page = describe({"<b>age": [1.0, 2.0]})._repr_html_()
    assert "<td>1.5</td>" in page
    assert "&lt;b&gt;age" in page


def test_a_long_list_is_cut():
    assert repr(ValueCounts.from_data(list(range(30)))).count("... 30]") == 3


def test_a_statistic_of_somebodys_own_shows_its_figures():
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Odd(RowCount):
        def result(self):
            return {"odd": self.rows % 2, "third": 1 / 3 if self.rows else 1 / self.rows}

    assert repr(Odd(3)) == "Odd(odd=1, third=0.333333)"
    assert repr(Odd(0)) == "Odd(no figures: ZeroDivisionError)"
