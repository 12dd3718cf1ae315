"""The three hospitals' data, and a run of the analysis in this process."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# The example is an app, not an installed package; its tests run from any working directory.
sys.path[:0] = [str(HERE.parent), str(HERE)]

from flame_flwr.star import StarModelTester  # noqa: E402
from pancreas.analysis import FederatedLogisticRegression, PancreasAnalyzer  # noqa: E402
from pancreas.hospitals import HOSPITALS, MEASUREMENTS, hospital_csv  # noqa: E402
from pancreas.table import FILE  # noqa: E402


@pytest.fixture(scope="session")
def contents():
    """The three hospitals' CSV files."""
    return [hospital_csv(partition) for partition in range(len(HOSPITALS))]


@pytest.fixture(scope="session")
def splits(contents):
    """The three nodes' data, as a STAR analyzer gets it."""
    return [[{FILE: content}] for content in contents]


@pytest.fixture(scope="session")
def run():
    """Run the analysis in this process."""

    def run_it(
        splits,
        analyzer=PancreasAnalyzer,
        aggregator=FederatedLogisticRegression,
        aggregator_kwargs=None,
        filename=None,
        **options,
    ):
        options = {"columns": MEASUREMENTS, **options}
        return StarModelTester(
            splits,
            analyzer,
            aggregator,
            "s3",
            simple_analysis=False,
            output_type="pickle",
            analyzer_kwargs=options,
            aggregator_kwargs=aggregator_kwargs,
            filename=filename,
        )

    return run_it
