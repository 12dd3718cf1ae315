"""Which analyses a check runs several times over, and compares."""

import os
from contextlib import ExitStack

import pandas as pd
import pytest

from flame_flwr.regression import GLM, Cox, RegressionMetaAnalysis, Survival, TableOne
from flame_flwr.testing import check_analysis
from flame_flwr.testing.subjects import ClassSource

TABLE = pd.DataFrame(
    {
        "age": [61, 70, 58, 49, 66, 73, 52, 64],
        "pain": [3.0, 5.5, 2.0, 1.5, 4.5, 5.0, 2.5, 3.5],
        "ill": [0, 1, 0, 1, 1, 0, 1, 1],
        "months": [3, 5, 8, 2, 4, 6, 7, 1],
    }
)
LINE = GLM("pain ~ age")
STUDIES = [
    LINE,
    Cox("months, ill ~ age"),
    RegressionMetaAnalysis(LINE),
    Survival("months", "ill", times=range(1, 9)),
    TableOne({"age": "mean"}),
]


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: type(study).__name__)
def test_what_the_framework_has_is_compared(study):
    """A strategy of the framework may have a `start` of its own, and chooses no node by chance."""
    subject = ClassSource(study.analyzer, study.strategy, [TABLE, TABLE[:5]], {})
    assert not subject.load(ExitStack()).speaks_messages


class OwnUnit(LINE.analyzer):
    """Has ages in another unit in every process."""

    def table(self, data):
        return data.assign(age=data["age"] * (1 + os.getpid() % 1009))


@pytest.mark.exhaustive  # `make test` sees that it is compared at all
def test_a_process_dependent_regression_is_found():
    splits = [TABLE, TABLE[:5]]
    [finding] = check_analysis(OwnUnit, LINE.strategy, splits, raises=False, seconds=300)
    assert (finding.check, finding.severity) == ("repeats", "error")
