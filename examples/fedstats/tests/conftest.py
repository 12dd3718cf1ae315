"""The three hospitals' data, and a run of the analysis in this process."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# The example is an app, not an installed package; its tests run from any working directory.
sys.path[:0] = [str(HERE.parent), str(HERE)]

from fedstats.analysis import CoxAnalyzer, MetaAnalysis  # noqa: E402
from fedstats.app import COLUMNS  # noqa: E402
from fedstats.hospitals import SIZES, hospital_csv  # noqa: E402
from fedstats.survival import FILE  # noqa: E402
from flame_flwr.star import StarModelTester  # noqa: E402


@pytest.fixture(scope="session")
def contents():
    """The three hospitals' CSV files."""
    return [hospital_csv(partition) for partition in range(len(SIZES))]


@pytest.fixture(scope="session")
def splits(contents):
    """The three nodes' data, as a STAR analyzer gets it."""
    return [[{FILE: content}] for content in contents]


@pytest.fixture(scope="session")
def run():
    """Run the analysis in this process."""

    def run_it(splits, filename=None, **columns):
        return StarModelTester(
            splits,
            CoxAnalyzer,
            MetaAnalysis,
            "s3",
            analyzer_kwargs={**COLUMNS, **columns},
            filename=filename,
        )

    return run_it


@pytest.fixture(scope="session")
def study(run, splits):
    """The analysis as it stands, run once."""
    return run(splits)
