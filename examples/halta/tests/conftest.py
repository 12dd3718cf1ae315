"""The study run once, in this process, and what the tests compare it with."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
# The example is an app, not an installed package; its tests run from any working directory.
sys.path[:0] = [str(HERE.parent), str(HERE)]

from flame_flwr.star import StarModelTester  # noqa: E402
from halta.analysis import RESULT_FILENAMES, SHOWN, HaltaAggregator, HaltaAnalyzer  # noqa: E402
from halta.synthetic import hospital_files  # noqa: E402


@dataclass
class Run:
    """What a run gave, and what the aggregator saw at its end."""

    tester: Any
    aggregate: dict[str, Any]
    evaluations: list[dict[str, float]]

    @property
    def report(self) -> str:
        return self.tester.result[1]


def run_study(splits, **arguments):
    """Run the study over the given nodes' data."""
    seen = {}

    class Watched(HaltaAggregator):
        def final_method(self, result, evaluations):
            seen.update(aggregate=result, evaluations=evaluations)
            return super().final_method(result, evaluations)

    tester = StarModelTester(
        data_splits=splits,
        analyzer=HaltaAnalyzer,
        aggregator=Watched,
        data_type="s3",
        query=[],
        simple_analysis=False,
        multiple_results=True,
        output_type=["bytes", "str", "bytes", "bytes"],
        shown=SHOWN,
        **arguments,
    )
    return Run(tester, **seen)


@pytest.fixture(scope="session")
def contents():
    """The three hospitals' labeled CSV files."""
    return [hospital_files(partition)["hospital_labeled.csv"] for partition in range(3)]


@pytest.fixture(scope="session")
def splits():
    """The three nodes' data, as a STAR analyzer gets it, with the unlabeled trap in it."""
    return [[dict(hospital_files(partition))] for partition in range(3)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="session")
def study(splits, folder):
    """The whole study, its four files written to ``folder``."""
    names = [str(folder / name) for name in RESULT_FILENAMES]
    return run_study(splits, filename=names, report="on", tensorboard="on")


@pytest.fixture(autouse=True)
def unpainted(monkeypatch):
    """Lay pictures out, and paint those of the fixtures only: it is a third of a run's time."""
    monkeypatch.setattr("halta.plots._png", lambda figure: b"")


@pytest.fixture(scope="session")
def run():
    return run_study
