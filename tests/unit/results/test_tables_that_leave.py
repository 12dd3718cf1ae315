"""The first table of rows that leaves a node is told of in the round's line."""

import re

import numpy as np
import pandas as pd
import pytest

from flame_flwr.results.followed_lines import parse_line
from flame_flwr.star import (
    StarAggregator,
    StarAnalyzer,
    StarModelTester,
)
from flame_flwr.strategies import StarStrategy


class ByMessages(StarStrategy):
    """Overrides a Message method, so that it gets real messages also in process."""

    def configure_train(self, *arguments):
        return super().configure_train(*arguments)


class Rows(StarAnalyzer):
    """Returns its rows from the second round on."""

    def analysis_method(self, data, aggregator_results):
        self.flame.report_metrics(loss=0.5)
        table = pd.DataFrame(np.zeros((int(data) + 250, 13)))
        return table if self.num_iterations else {"coef": np.zeros((300, 30))}


class Last(StarAggregator):
    def aggregation_method(self, analysis_results):
        return 0.0

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2


@pytest.mark.parametrize("strategy", [Last, ByMessages(Last)], ids=["in process", "by messages"])
def test_the_first_table_to_leave_is_told(strategy, caplog):
    caplog.set_level("INFO", "flame_flwr")
    tester = StarModelTester([0.0, 50.0], Rows, strategy, "s3", simple_analysis=False, quiet=False)
    lines = [line for line in caplog.messages if line.startswith("round")]
    assert re.search(r"B received, loss 0.5$", lines[0])
    assert re.search(r"kB received \(with a table of 300 rows x 13 columns\), loss 0.5$", lines[1])
    assert re.search(r"kB received, loss 0.5: has_converged returned True$", lines[2])
    assert [parse_line(line).metrics for line in lines] == ["loss 0.5"] * 3
    assert [entry.table for entry in tester.record.history] == ["", "300 rows x 13 columns", ""]


def test_lists_of_coefficients_are_no_table(caplog):
    class Pairs(Rows):
        def analysis_method(self, data, aggregator_results):
            return [[0.5] * 30, [0.25] * 30]

    caplog.set_level("INFO", "flame_flwr")
    StarModelTester([0.0, 50.0], Pairs, Last, "s3", quiet=False)
    assert "table" not in caplog.text
