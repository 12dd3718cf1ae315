"""The three centres' data, and the study run once in this process."""

import copy
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
# The example is an app, not an installed package; its tests run from any working directory.
sys.path[:0] = [str(HERE.parent), str(HERE)]

from flame_flwr.star import StarModelTester  # noqa: E402
from patient_journeys.analysis import JourneyAnalyzer, JourneyStrategy  # noqa: E402
from patient_journeys.synthetic import centre_files  # noqa: E402


@dataclass
class Run:
    """A run, the aggregate of every round, and where its files are."""

    tester: Any = None
    aggregates: list[dict[str, Any]] = field(default_factory=list)
    folder: Path | None = None


def run_study(splits, rounds=10, analyzer=JourneyAnalyzer, **arguments):
    """Run the study over the given centres' data; keyword arguments are the analyzer's."""
    done = Run()

    class Watched(JourneyStrategy):
        def update(self, merged, last):
            aggregate = super().update(merged, last)
            done.aggregates.append(copy.deepcopy(aggregate))
            return aggregate

    filename = arguments.pop("filename", None)
    done.tester = StarModelTester(
        splits,
        analyzer,
        Watched(rounds=rounds),
        "s3",
        analyzer_kwargs=arguments,
        filename=filename,
    )
    return done


@pytest.fixture(scope="session")
def run():
    return run_study


@pytest.fixture(scope="session")
def splits():
    """The three nodes' data, as a STAR analyzer gets it."""
    return [[dict(centre_files(number))] for number in range(3)]


@pytest.fixture(scope="session")
def study(splits, tmp_path_factory):
    """The whole study, its files written to a folder."""
    folder = tmp_path_factory.mktemp("results")
    done = run_study(splits, filename=str(folder))
    done.folder = folder
    return done


@pytest.fixture(scope="session")
def folder(study):
    """The study's files."""
    return study.folder
