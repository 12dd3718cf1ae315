"""What the audit log says of figures that rules withheld: how many, by which rule, and no value."""

import json

import numpy as np
import pandas as pd
import pytest

from flame_flwr.data.mismatch import Mismatch
from flame_flwr.payload import encode
from flame_flwr.privacy import MaxBins, MinCount, NoisyMinMax
from flame_flwr.privacy.audit_words import what_left, withheld_words
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.rule_tally import RuleTally
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.statistics import (
    ContingencyTable,
    Histogram,
    MinMax,
    Moments,
    Quantiles,
    RowCount,
    Total,
    ValueCounts,
    describe,
)

AGES = [31.0, 33.0, 38.0, 41.0, 47.0, 52.0, 58.0, 61.0, 64.0, 66.0, 71.0, 93.0]
FEW = AGES[:3]


def withheld(value, *rules):
    passed = Gate("a", rules=rules).result(encode(value), Study(), 1)
    return passed.noted().get("withheld", {})


@pytest.mark.parametrize(
    ("value", "kept_back"),
    [
        ({"n": RowCount(31)}, {}),
        ({"n": RowCount(0)}, {}),
        ({"n": RowCount(3), "of": [Total.from_data(FEW)]}, {"whole": 2}),
        ({"mean": Moments.from_data(AGES)}, {}),
        ({"range": MinMax.from_data(AGES)}, {"whole": 1}),
        # two small counts, and with them the large one: it would give their sum away
        ({"sex": ValueCounts.from_data(list("fffffffffmmmxx"), list("fmx"))}, {"cells": 3}),
        ({"sex": ValueCounts.from_data(list("fffffmm"))}, {"cells": 2}),
        ({"ages": Quantiles.from_data(AGES)}, {"altered": 1}),
        ({"ages": Quantiles.from_data(FEW)}, {"whole": 1}),
    ],
)
def test_figures_are_counted_by_rule(value, kept_back):
    assert withheld(value, MinCount(5)) == ({"MinCount": kept_back} if kept_back else {})


def test_cells_are_counted_as_they_are_seen():
    """A second count: the bins that were a number before the gate and are none behind it."""
    histogram = Histogram.from_data(AGES, [0, 35, 50, 60, 100])
    allowed = MinCount(5).protect([histogram])[0]
    keys = ("counts", "below", "above", "missing")
    gone = sum(
        cell is None for key in keys for cell in np.atleast_1d(allowed.result()[key]).tolist()
    )
    assert withheld([histogram], MinCount(5)) == {"MinCount": {"cells": gone}}
    assert gone >= 2


def test_cells_of_a_cross_table_are_counted_once():
    table = pd.DataFrame({"sex": list("fm") * 12, "ill": ["y"] * 3 + ["n"] * 21})
    crosstab = ContingencyTable.from_data(table["sex"], table["ill"], ["f", "m"], ["y", "n"])
    [allowed] = MinCount(5).protect([crosstab])
    gone = sum(cell is None for row in allowed.result()["counts"] for cell in row)
    found = withheld([crosstab], MinCount(5))
    assert found == {"MinCount": {"cells": gone}}


def test_each_rule_has_what_it_did_itself():
    rules = (NoisyMinMax(0.1, 0.2), MaxBins(5), MinCount(5))
    value = {"range": MinMax.from_data(AGES), "few": RowCount(2), "q": Quantiles.from_data(AGES)}
    found = withheld(value, *rules)
    assert found["NoisyMinMax"]["altered"] == 2
    assert found["MaxBins"] == {"altered": 1}
    assert found["MinCount"]["whole"] == 1


def test_a_descriptions_parts_are_counted_singly():
    table = pd.DataFrame({"age": AGES, "rare": [1.0] + [np.nan] * 11})
    found = withheld(describe(table), MinCount(5))["MinCount"]
    assert found["whole"] >= 2  # at least both extremes
    assert set(found) <= {"whole", "cells", "altered"}


def test_no_value_is_in_what_is_noted():
    secret = {"a 93-year-old": RowCount(3), "x": ValueCounts.from_data(["Muster"] * 3 + ["M"] * 9)}
    text = json.dumps(withheld(secret, MinCount(5)))
    for value in ("93", "Muster", "3"):
        assert value not in text


def test_findings_of_too_few_are_counted():
    rows = [None, 3, 40, 2]
    found = [Mismatch(f"finding {i}", rows=each) for i, each in enumerate(rows)]
    counted = RuleTally()
    left = Gate("a", rules=(MinCount(5),)).findings(found, Study(), counted)
    assert [each.rows for each in left] == [None, 40]
    assert counted.to_json() == {"MinCount": {"findings": 2}}


@pytest.mark.parametrize(
    ("noted", "words"),
    [
        (None, ""),
        ({"MinCount": {"whole": 2, "findings": 1}}, "MinCount withheld 2 figures, 1 finding"),
        (
            {"MinCount": {"cells": 1}, "NoisyMinMax": {"altered": 1}},
            "MinCount withheld 1 cell of others; NoisyMinMax altered 1 figure",
        ),
        (["?"], ""),
        ({"MinCount": 3}, ""),
        ({"MinCount": {"whole": "many"}}, "MinCount "),
    ],
)
def test_a_line_says_it_in_words(noted, words):
    assert withheld_words({"withheld": noted}) == words


@pytest.mark.parametrize("records", [["?"], {"result": 3}, {"result": None}, {"result": "n: 3"}])
def test_a_line_of_another_form_has_words_too(records):
    assert what_left({"answer_to": "train", "records": records}) == ""
    assert withheld_words({"answer_to": "train", "records": records}) == ""
