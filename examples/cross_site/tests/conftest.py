"""The four hospitals' data, and the study run once in this process."""

import csv
import io
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# The example is an app, not an installed package; its tests run from any working directory.
sys.path[:0] = [str(HERE.parent), str(HERE)]

from cross_site.analysis import CrossSiteAnalyzer, CrossSiteStrategy  # noqa: E402
from cross_site.files import OUTPUTS  # noqa: E402
from cross_site.hospitals import HOSPITALS, MEASUREMENTS, hospital_files  # noqa: E402
from cross_site.settings import COMPARISON, filters  # noqa: E402
from cross_site.table import expected  # noqa: E402
from flame_flwr.star import StarModelTester  # noqa: E402


def run_study(
    splits, *, analyzer=CrossSiteAnalyzer, columns=MEASUREMENTS, settings=COMPARISON, **more
):
    """Run the study in this process; ``more`` are the analyzer's arguments."""
    rounds = {"rounds": more["rounds"]} if "rounds" in more else {}
    return StarModelTester(
        splits,
        analyzer,
        CrossSiteStrategy(settings, columns, **rounds),
        "s3",
        analyzer_kwargs={"columns": columns, "settings": settings, **more},
        filters=filters(settings),
        expects=expected(columns),
    )


@pytest.fixture(autouse=True)
def unpainted(monkeypatch):
    """Lay pictures out, and paint those of the fixtures only: it is half of a run's time."""
    monkeypatch.setattr("cross_site.plots._png", lambda figure: b"")


@pytest.fixture(scope="session")
def run():
    return run_study


@pytest.fixture(scope="session")
def contents():
    """The four hospitals' files."""
    return [hospital_files(number) for number in range(len(HOSPITALS))]


@pytest.fixture(scope="session")
def splits(contents):
    """The four nodes' data, as a STAR analyzer gets it."""
    return [[files] for files in contents]


@pytest.fixture(scope="session")
def study(splits):
    """The whole study."""
    return run_study(splits)


@pytest.fixture(scope="session")
def files(study):
    """What the study has written, by the files' names."""
    return {name: content for (name, _, _), content in zip(OUTPUTS, study.result, strict=True)}


@pytest.fixture(scope="session")
def table():
    """Read a CSV file that the study has written."""
    return lambda content: list(csv.DictReader(io.StringIO(content)))
