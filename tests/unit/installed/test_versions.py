"""Which versions of Flower and of a node's packages are said to be a concern."""

import importlib
import subprocess
import sys
import tomllib
import warnings
from importlib.metadata import version
from pathlib import Path

import pytest

import flame_flwr
from flame_flwr.installed import versions
from flame_flwr.installed.versions import TRIED, differing, installed, untried
from flame_flwr.text.foreign_json import OddReportError
from flame_flwr.transport.compatibility import read_versions, warn_of_versions

CHECKOUT = next(
    (p for p in Path(__file__).resolve().parents if (p / "pyproject.toml").is_file()), None
)


@pytest.mark.parametrize("number", ["1.41.0", "1.42.0", "1.42.7", "1.42.0rc1"])
def test_a_tried_flower_is_no_concern(number):
    assert untried(number) == ""


@pytest.mark.parametrize("number", ["1.43.0", "2.0.0", "1.4.2", "1.420.0", "unknown"])
def test_an_untried_flower_is_named(number):
    text = untried(number)
    assert f"(flwr) {number} is installed" in text
    assert "1.41 and 1.42" in text
    assert "pip install 'flwr==1.42.*'" in text


def test_the_installed_flower_was_tried():
    assert untried(version("flwr")) == ""


@pytest.mark.skipif(CHECKOUT is None, reason="runs without the checkout")
def test_flowers_floor_is_the_oldest_tried():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    asked = [project["dependencies"], *project["optional-dependencies"].values()]
    flowers = [line for lines in asked for line in lines if line.startswith("flwr")]
    assert {line.partition("]")[2] or line.removeprefix("flwr") for line in flowers} == {
        f">={TRIED[0]}"
    }


def warned(monkeypatch, number, *program):
    monkeypatch.setattr(sys, "orig_argv", list(program))
    monkeypatch.setattr(versions, "version", lambda package: number)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        importlib.reload(flame_flwr)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("program", ["study.py", "/opt/venv/bin/flame-flwr", "flwr-serverapp"])
def test_whoever_starts_an_analysis_is_warned(monkeypatch, program):
    assert warned(monkeypatch, "9.1", sys.executable, program) == [untried("9.1")]
    assert warned(monkeypatch, TRIED[0], sys.executable, program) == []


@pytest.mark.parametrize("program", ["/opt/venv/bin/flwr-clientapp", "/ray/default_worker.py"])
def test_a_nodes_process_is_not_warned(monkeypatch, program):
    assert warned(monkeypatch, "9.1", sys.executable, program, "--insecure") == []


@pytest.mark.parametrize(
    ("package", "statement"),
    [
        ("flwr-nightly", "import flame_flwr"),
        ("flwr", "from flame_flwr.star import StarAnalyzer, StarModel"),
        (
            "flwr",
            "import flame_flwr.star, flame_flwr.strategies, flame_flwr.clients, flame_flwr.flower",
        ),
    ],
)
def test_importing_it_warns_once_and_names_the_version(package, statement):
    code = f"""
import importlib.metadata as metadata
version = metadata.version
def fake(name):
    if name == {package!r}:
        return "1.99.3"
    if name == "flwr":
        raise metadata.PackageNotFoundError
    return version(name)
metadata.version = fake
{statement}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("(flwr) 1.99.3 is installed") == 1
    assert done.stderr.count("Warning:") == 1
    assert "<string>:11: UserWarning" in done.stderr  # who imports it, not a line of ours


# ---- the packages of a node -------------------------------------------------------------------


def test_the_installed_versions_are_those_of_the_packages():
    assert {name: version(name) for name in installed()} == installed()
    assert {"flwr", "numpy", "pandas", "scikit-learn"} <= installed().keys()


@pytest.mark.parametrize(
    ("package", "theirs", "ours", "matters"),
    [
        ("pandas", "2.2.3", "3.1.1", True),
        ("pandas", "3.0.0", "3.1.1", False),
        ("numpy", "1.26.4", "2.4.6", True),
        ("numpy", "2.0.0", "2.4.6", False),
        ("scikit-learn", "1.8.0", "1.9.1", True),
        ("scikit-learn", "1.9.0", "1.9.1", False),
        ("skops", "0.15.0", "0.16.0", True),
        ("flwr", "1.41.0", "1.42.0", False),
        ("flask", "1.0", "2.0", False),
    ],
)
def test_only_what_changes_a_value_is_compared(package, theirs, ours, matters):
    found = differing({package: theirs}, {package: ours})
    assert [each.startswith(f"{package} {theirs} (the server has {ours}:") for each in found] == (
        [True] if matters else []
    )
    assert differing({package: theirs}, {}) == differing({}, {package: ours}) == []


def test_one_warning_names_every_node_with_its_versions(caplog):
    own = installed()
    warn_of_versions(
        {
            "a": own,
            "b": {**own, "pandas": "1.5.3"},
            "c": {},
            "d": {**own, "flwr": "1.99.0", "numpy": "0.1.0", "pandas": "1.5.3"},
        }
    )
    [text] = caplog.messages
    head, *lines = text.splitlines()
    assert "install the same on every side" in head
    assert [line.split()[:2] for line in lines] == [
        ["b:", "pandas"],
        ["d:", "numpy"],
        ["d:", "pandas"],
        ["d:", "Flower"],
    ]
    assert f"pandas 1.5.3 (the server has {own['pandas']}:" in lines[0]


def test_nodes_alike_or_silent_are_no_concern(caplog):
    warn_of_versions({"a": installed(), "b": {}})
    assert caplog.messages == []


@pytest.mark.parametrize(
    "said",
    [
        *(7, "no JSON", "[1]", '{"pandas": 3}', '{"pandas": "3\\nERROR"}', '{"a": ""}'),
        *("[" * 9000, '{"a": ' * 800 + "1" + "}" * 800, "1" * 5000, b"{}", "x" * 10**6),
    ],
)
def test_what_is_no_version_is_refused(said):
    with pytest.raises(OddReportError, match="`versions`"):
        read_versions(said)


@pytest.mark.parametrize("said", [None, "", "{}"])
def test_a_node_may_say_no_versions(said):
    assert read_versions(said) == {}
