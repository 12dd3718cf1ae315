"""A result as text is whole: nothing of it is left out by pandas, NumPy or SciPy."""

import ast
import io
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from flame_flwr.results import Outputs, text_form
from flame_flwr.results.text_form import as_text
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester

RNG = np.random.default_rng(4)
WIDE = pd.DataFrame(RNG.integers(0, 10**6, (300, 40)), columns=[f"column{i}" for i in range(40)])
CELLS = pd.DataFrame({"note": ["a very long note " * 30 + str(i) for i in range(80)], "n": 1})
LISTS = pd.DataFrame({"steps": [list(range(i, i + 300)) for i in range(3)]})
DEEP = pd.Series([{"a": {"b": {"c": {"d": {"e": 12345}}}}}])


def written(value, name="result.txt"):
    [(_, content)] = Outputs.declare("str", name, False).render(value)
    return content.decode()


def numbers(of):
    """Every whole number in a text."""
    return [int(found) for found in re.findall(r"\d+", of)]


OBJECTS = {
    "frame": (WIDE, WIDE.to_numpy().ravel().tolist()),
    "long cells": (CELLS, range(80)),
    "lists in cells": (LISTS, range(302)),
    "nested cells": (DEEP, [12345]),
    "series": (WIDE["column3"], WIDE["column3"].tolist()),
    "index": (pd.Index(range(0, 3000, 7)).astype(object), range(0, 3000, 7)),
    "dates": (pd.date_range("2020-01-01", periods=500), [2020, 2021]),
    "levels": (pd.MultiIndex.from_product([range(40), range(40)]), range(40)),
    "extension": (pd.array(list(range(500))), range(500)),
    "categorical": (pd.Categorical([str(i) for i in range(300)]), range(300)),
    "categories": (pd.Series([str(i) for i in range(300)], dtype="category"), range(300)),
    "intervals": (pd.interval_range(0, 400), range(400)),
    "array": (np.arange(3000), range(3000)),
    "large array": (np.arange(24_000), range(24_000)),
    "cube": (np.arange(24_000).reshape(20, 30, 40), range(24_000)),
    "sparse": (scipy.sparse.csr_matrix(np.arange(2500).reshape(50, 50)), range(2500)),
}


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize(
    "within",
    [lambda v: v, lambda v: {"a": [v, 1]}, lambda v: (v, {"b": v})],
    ids=["alone", "dict", "tuple"],
)
def test_all_of_it_is_written(kind, within):
    value, all_of = OBJECTS[kind]
    if kind in ("sparse", "categorical") and within(0) != 0:
        return  # their own repr leaves out, whatever is asked for
    found = written(within(value))
    assert "..." not in found.replace("[...]", "")
    assert set(all_of) <= set(numbers(found))


@pytest.mark.parametrize("value", [WIDE, WIDE.loc[:, :"column20"], CELLS])
def test_a_table_is_neither_cut_nor_folded(value):
    lines = written(value).splitlines()
    assert len(lines) == len(value) + 1
    assert [len(line.split()) for line in lines][1:] == [
        1 + sum(len(str(cell).split()) for cell in row) for row in value.to_numpy()
    ]


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"a": [1.5, 2.25]}, index=["x", "y"]),
        pd.Series([1, 2], name="n"),
        pd.Index(["a", "b"]),
        np.arange(6.0).reshape(2, 3),
        {"a": [1, "x", None], "b": (np.arange(3), pd.Series([1]))},
        [],
        (1,),
        "text",
        None,
    ],
)
def test_what_is_short_is_as_it_always_was(value):
    assert as_text(value) == str(value)
    assert written(value) == str(value)


def test_the_users_options_do_not_cut():
    with pd.option_context("display.max_rows", 5, "display.max_colwidth", 10):
        with np.printoptions(threshold=5):
            assert len(written(WIDE).splitlines()) == 301
            assert "..." not in written(np.arange(100))
            assert np.get_printoptions()["threshold"] == 5
        assert pd.get_option("display.max_rows") == 5


def test_a_large_arrays_numbers_are_in_order():
    array = RNG.normal(size=(3, 7000))
    found = ast.literal_eval(
        re.sub(r"(?<=[\d.])\s+(?=[-\d])|(?<=\])\s+(?=\[)", ",", as_text(array))
    )
    np.testing.assert_allclose(found, array, rtol=1e-6, atol=1e-8)


# ---- CSV ------------------------------------------------------------------------------------


def test_a_csv_is_read_back_the_same():
    table = pd.DataFrame(
        {"group": ["a, b", 'c "d"', "e\nf"] * 100, "mean": RNG.normal(size=300), "n": range(300)}
    )
    for name in ("table.csv", "Table.CSV"):
        pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(written(table, name))), table)
    found = pd.read_csv(io.StringIO(written(table, "table.tsv")), sep="\t")
    pd.testing.assert_frame_equal(found, table)


def test_an_index_with_meaning_becomes_a_column():
    table = WIDE.describe()
    found = pd.read_csv(io.StringIO(written(table, "table.csv")), index_col=0)
    pd.testing.assert_frame_equal(found, table)
    for index in (pd.RangeIndex(1, 4), pd.RangeIndex(3, name="patient"), pd.Index(["x", "y", "z"])):
        other = pd.DataFrame({"n": [1, 2, 3]}, index=index)
        assert pd.read_csv(io.StringIO(written(other, "t.csv"))).shape == (3, 2)


def test_a_series_and_an_index_in_csv():
    counts = pd.Series(["f"] * 70 + ["m"] * 90, name="sex").value_counts()
    assert written(counts, "sex.csv") == "sex,count\nm,90\nf,70\n"
    assert written(pd.Series([1, 2], name="n"), "n.csv") == "n\n1\n2\n"
    assert written(pd.Index([1, 2], name="n"), "n.csv") == "n\n1\n2\n"


def test_other_values_are_text_in_a_csv():
    assert written("a,b\n1,2\n", "t.csv") == "a,b\n1,2\n"
    assert written({"a": 1}, "t.csv") == "{'a': 1}"


# ---- printed --------------------------------------------------------------------------------


SHOWN = WIDE.loc[:, :"column20"]


class Rows(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


class Table(StarAggregator):
    def aggregation_method(self, analysis_results):
        return SHOWN

    def has_converged(self, result, last_result):
        return True


def test_the_printed_result_is_whole_too(capsys, tmp_path):
    StarModelTester([1, 2], Rows, Table, "s3", quiet=False)
    assert set(SHOWN.to_numpy().ravel().tolist()) <= set(numbers(capsys.readouterr().out))
    path = tmp_path / "table.csv"
    StarModelTester([1, 2], Rows, Table, "s3", result_filepath=path)
    pd.testing.assert_frame_equal(pd.read_csv(path), SHOWN)


def test_a_very_long_text_is_cut():
    shown = text_form.printed("x" * 300_000)
    assert shown.endswith("xxx ... (300000 characters)")
    assert len(shown) < 101_000
    assert "[20000 rows x 1 columns]" in as_text(pd.DataFrame({"a": range(20_000)}), most=100)
