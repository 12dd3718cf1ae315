"""The table, computed a second way; and what would break the analysis on Flower."""

import io

import pandas as pd
import pytest
from my_analysis.analysis import GROUP, VALUE, Aggregator, Analyzer
from my_analysis.local import run
from my_analysis.sample import files

from flame_flwr.errors import NodeFailedError
from flame_flwr.testing import check_analysis


def test_the_table_is_that_of_all_patients_together():
    contents = [files(hospital)["patients.csv"] for hospital in range(3)]
    pooled = pd.concat(pd.read_csv(io.BytesIO(content)) for content in contents)
    lines = run().result.splitlines()[1:]
    for line, (group, values) in zip(lines, pooled.groupby(GROUP)[VALUE], strict=True):
        name, patients, mean = line.split()
        assert (name, int(patients), mean) == (group, len(values), f"{values.mean():.2f}")


def test_a_group_of_few_patients_does_not_leave():
    few = "treatment,days_in_hospital\n" + "new,3\n" * 4 + "standard,8\n" * 30
    lines = run(splits=[[files(0)], [{"patients.csv": few.encode()}]]).result.splitlines()
    assert lines[1].endswith("without 1 of them")


def test_other_codes_and_spellings_are_found_first():
    content = files(0)["patients.csv"].replace(b"new", b" NEW ")
    assert run(splits=[[{"patients.csv": content}], [files(1)]]).result == run(2).result
    content = content.replace(b"standard", b"usual")
    with pytest.raises(NodeFailedError, match="column 'treatment' holds other texts than"):
        run(splits=[[{"patients.csv": content}], [files(1)]])


def test_nothing_in_it_would_break_on_flower():
    check_analysis(Analyzer, Aggregator, [[files(0)], [files(1)]])
