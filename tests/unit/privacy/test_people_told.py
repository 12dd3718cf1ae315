"""Of how many people a node's data is: said where the rules let it, and no more than that."""

import numpy as np
import pandas as pd
import pytest

from flame_flwr.privacy import MaxRows, MinCount
from flame_flwr.privacy.evidence import Evidence
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
from flame_flwr.statistics import Moments, RowCount

TABLE = pd.DataFrame(
    {"who": [f"p{i // 2}" for i in range(24)], "x": np.arange(24.0), "y": [np.nan, *range(23)]}
)
"""Twelve people, two rows each; y is missing in one row, and z of one person."""
TABLE["z"] = TABLE["x"].where(TABLE["who"] != "p3")


class All(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return self.num_iterations >= len(ROUNDS) - 1


ROUNDS = ["x", "z"]


class Columns(StarAnalyzer):
    def __init__(self, flame, columns):
        super().__init__(flame)
        self.columns = columns

    def analysis_method(self, data, aggregator_results):
        return Moments.from_data(data[self.columns[self.num_iterations]])


class Plain(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"mean": float(data["x"].mean())}


def run(analyzer, rules, table=TABLE, **more):
    options = {"subject": "who", "disclosure": rules, "quiet": True, **more}
    return StarModelTester([table], analyzer, All, "s3", simple_analysis=False, **options)


def told(tester):
    [size] = tester.record.sizes.values()
    return size.partition("; ")[2]


@pytest.mark.parametrize(
    ("columns", "rules", "said"),
    [
        ("xz", [], "12 people"),
        ("xz", [MaxRows(100)], "12 people"),
        ("xz", [MinCount(5)], "12 people"),
        ("yz", [MinCount(5)], "12 people"),  # a row is missing, and nobody is
        ("zx", [MinCount(5)], ""),  # of the first round's figure one person is missing
        ("zx", [MinCount(5, differences=False)], "12 people"),
        ("xz", [MinCount(13)], ""),
        ("xz", [MinCount(13, differences=False)], ""),
    ],
)
def test_people_behind_a_full_figure_are_told(columns, rules, said):
    assert told(run(Columns, rules, analyzer_kwargs={"columns": list(columns)})) == said


def test_no_figure_of_nearly_all_leaves():
    tester = run(Columns, [MinCount(5)], analyzer_kwargs={"columns": ["x", "z"]})
    assert told(tester) == "12 people"
    assert [part.suppressed for part in tester.result] == [1]  # of eleven, in the last round


def test_without_such_a_figure_nothing_is_told():
    assert told(run(Plain, [MinCount(5)])) == ""
    assert told(run(Plain, [])) == "12 people"
    assert told(run(Plain, [], subject="")) == ""


def test_their_number_stands_behind_the_amount_of_data():
    assert Evidence(resources=4, people=2).words() == "4 resources"
    assert Evidence(resources=4, people=2).words(2) == "4 resources; 2 people"
    assert Evidence(files=1, nbytes=5, people=1).words(1) == "1 file, 5 B; 1 person"
    assert Evidence(people=1).words(1) == ""
    assert Evidence.from_json({"kind": "list", "shape": []}).words() == "list ()"  # forged
    assert not MinCount(5).may_say(3, [RowCount(3)])
