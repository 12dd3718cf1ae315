"""The table, computed a second way; and what would break the analysis on Flower."""

import io

import pandas as pd
from my_analysis.analysis import GROUP, VALUE, Aggregator, Analyzer
from my_analysis.local import run
from my_analysis.sample import files

from flame_flwr.testing import check_analysis


def test_the_table_is_that_of_all_patients_together():
    contents = [files(hospital)["patients.csv"] for hospital in range(3)]
    pooled = pd.concat(pd.read_csv(io.BytesIO(content)) for content in contents)
    lines = run().result.splitlines()[1:]
    for line, (group, values) in zip(lines, pooled.groupby(GROUP)[VALUE], strict=True):
        name, patients, mean = line.split()
        assert (name, int(patients), mean) == (group, len(values), f"{values.mean():.2f}")


def test_nothing_in_it_would_break_on_flower():
    check_analysis(Analyzer, Aggregator, [[files(0)], [files(1)]])
