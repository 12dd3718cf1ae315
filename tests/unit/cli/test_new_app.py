"""``flame-flwr new`` and ``flame-flwr check``: apps that run and pass their own tests."""

import importlib
import io
import tomllib

import pandas as pd
import pytest
from typer.testing import CliRunner

from flame_flwr.cli import commands
from flame_flwr.cli.check_table import show_report
from flame_flwr.cli.new_app import TEMPLATES, complete_config, create
from flame_flwr.config import RUN_KEYS, RunSettings
from flame_flwr.data.expect import mismatches
from flame_flwr.errors import ConfigError, NodeFailedError
from flame_flwr.privacy import MinCount
from flame_flwr.statistics import Statistic
from flame_flwr.testing import Finding
from flame_flwr.testing.kit import Report

NAMES = {
    "analysis": "ward_stays",
    "training": "illness",
    "statistics": "blood",
    "regression": "mortality",
    "table-one": "who_they_are",
}


@pytest.fixture(scope="module")
def apps(tmp_path_factory):
    """An app of every template, by its template."""
    where = tmp_path_factory.mktemp("apps")
    return {template: create(name, template, where) for template, name in NAMES.items()}


def test_there_is_a_folder_for_every_template(apps):
    assert set(NAMES) == set(TEMPLATES)
    for template, name in NAMES.items():
        files = {
            path.relative_to(apps[template]).as_posix() for path in apps[template].rglob("*.*")
        }
        package = {
            f"{name}/{part}.py" for part in ("__init__", "analysis", "app", "local", "sample")
        }
        assert files == {"README.md", "pyproject.toml", f"tests/test_{name}.py", *package}
        text = "".join(path.read_text() for path in apps[template].rglob("*.*"))
        assert "my_analysis" not in text
        assert "my-analysis" not in text


@pytest.mark.parametrize("template", NAMES)
def test_an_apps_readme_submits_to_a_deployment(apps, template):
    page = (apps[template] / "README.md").read_text()
    deployments = [part for part in page.split("```") if "flower-superlink" in part]
    assert deployments
    for block in deployments:
        assert "flame-flwr submit . hospitals" in block
        assert block.count("flame-flwr node start --insecure") == 2
        assert block.count('approval="none"') == 2
        assert "flwr run" not in block  # it does not wait until the SuperLink listens


@pytest.mark.parametrize("template", NAMES)
def test_the_config_lists_every_key_and_nothing_else(apps, template):
    config = tomllib.loads((apps[template] / "pyproject.toml").read_text())
    flower = config["tool"]["flwr"]["app"]
    assert set(flower["config"]) == set(RUN_KEYS) - {"script", "secure"}
    assert RunSettings.from_config(flower["config"]).secure is None  # `false` is a way of summing
    assert "\n# secure = true\n" in (apps[template] / "pyproject.toml").read_text()
    assert flower["config"]["data"] == f"{NAMES[template]}.sample:node_files"
    assert flower["config"]["analysis-id"] == NAMES[template].replace("_", "-")
    assert config["project"]["name"] == NAMES[template].replace("_", "-")
    assert flower["title"]  # of its report
    for key, value in flower["config"].items():
        assert isinstance(value, RUN_KEYS[key].type)


@pytest.mark.parametrize("template", NAMES)
def test_an_app_declares_expectations_and_disclosure(apps, template, monkeypatch):
    monkeypatch.syspath_prepend(apps[template])
    app = importlib.import_module(f"{NAMES[template]}.app")
    analysis = importlib.import_module(f"{NAMES[template]}.analysis")
    plan = app.model.plan
    assert plan.expects == tuple(app.HOSPITALS["expects"])
    assert plan.disclosure == (MinCount(5, differences=template != "table-one"),)
    [table] = plan.expects
    assert table.columns
    assert hasattr(analysis, "STUDY") or any(
        isinstance(value, type) and issubclass(value, Statistic)
        for value in vars(analysis).values()
    )
    # the sample is as it is expected to be, and other labels or units are not
    sample = importlib.import_module(f"{NAMES[template]}.sample")
    files = sample.files(0)
    assert mismatches(plan.expects, [files]) == []
    [(name, content)] = files.items()
    read = pd.read_csv(io.BytesIO(content))
    for column in table.columns:
        numbers = pd.api.types.is_numeric_dtype(read[column])
        other = read.assign(**{column: read[column] * 1000 + 2000 if numbers else "another"})
        if column != "days_in_hospital":  # which has no upper bound
            assert mismatches(plan.expects, [{name: other.to_csv(index=False).encode()}])
        assert mismatches(plan.expects, [{name: read.drop(columns=column).to_csv().encode()}])


def test_the_training_app_refuses_other_labels(apps, monkeypatch):
    monkeypatch.syspath_prepend(apps["training"])
    analysis = importlib.import_module("illness.analysis")
    files = importlib.import_module("illness.sample").files
    run = importlib.import_module("illness.local").run
    read = pd.read_csv(io.BytesIO(files(0)["patients.csv"]))
    odd = [{"patients.csv": read.assign(ill=read["ill"] + 1).to_csv(index=False).encode()}]
    with pytest.raises(NodeFailedError, match="column 'ill' holds other texts than 0, 1"):
        run(splits=[odd, [files(1)]])
    with pytest.raises(ValueError, match=r"ill must be one of \[0, 1\]"):
        analysis.read(odd)


def test_keys_that_are_given_are_left_alone():
    before = "[tool.flwr.app.config]\nmax-rounds = 7\nmine.depth = 3\n"
    config = tomllib.loads(complete_config(before))["tool"]["flwr"]["app"]["config"]
    assert config["max-rounds"] == 7
    assert config["mine"] == {"depth": 3}
    assert config["round-timeout"] == 3600.0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("1st", "is no name for a Python package"),
        ("my-app-", "beginning with a letter, such as my_app"),
        ("-my-app", "beginning with a letter, such as my_app"),
        ("two words", "such as two_words"),
        ("", "is no name for a Python package"),
        ("../up", "such as up"),
        ("ärzte", "is no name for a Python package"),
        ("tail_", "such as tail"),
        ("class", "is a word of the Python language"),
        ("match", "is a word of the Python language"),
        ("json", "is the name of a module of Python's standard library"),
        ("numpy", "is the name of an installed module"),
        ("NumPy", "is the name of an installed module"),
        ("flame", "is the name of something of FLAME's, Flower's or Python's own"),
        ("tests", "is the name of something of FLAME's, Flower's or Python's own"),
    ],
)
def test_a_name_that_will_not_do_is_refused(tmp_path, name, why):
    with pytest.raises(ConfigError) as caught:
        create(name, where=tmp_path)
    assert why in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folders_hyphens_are_the_packages_underscores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(commands._app, ["new", "my-ward-study"])
    assert done.exit_code == 0, done.output
    folder = tmp_path / "my-ward-study"
    assert f"{folder} is ready; its README.md says how to run it." in done.output
    assert "cd my-ward-study" in done.output
    assert "python -m my_ward_study.local" in done.output
    assert (tmp_path / "my-ward-study" / "my_ward_study" / "app.py").is_file()


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_exists_is_left_alone(tmp_path, kind):
    place = tmp_path / "mine"
    if kind == "folder":
        place.mkdir()
    elif kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="exists already"):
        create("mine", where=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_nothing_is_left_half_written(tmp_path, monkeypatch):
    def fails(text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flame_flwr.cli.new_app.complete_config", fails)
    with pytest.raises(OSError, match="No space left"):
        create("mine", where=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unknown_template_and_missing_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="there are analysis, training, statistics"):
        create("mine", "forecast", tmp_path)
    with pytest.raises(ConfigError, match="there is no folder"):
        create("mine", where=tmp_path / "nowhere")


# ---- the commands ---------------------------------------------------------------------------


FINDING = Finding("data", "Analyzer", "analysis_method", "it changes [its] data", "Copy it")
ABOUT = {"analyzer": "Analyzer", "server": "Aggregator", "nodes": 3, "rounds": 2}


WARNING = Finding("folder", "", "", "its import makes 'plots'", "Make it later", "warning")


@pytest.mark.parametrize(
    ("findings", "code"), [([], 0), ([WARNING], 0), ([FINDING], 1), ([WARNING, FINDING], 1)]
)
def test_check_exits_with_1_on_errors(tmp_path, monkeypatch, findings, code):
    asked = {}

    def answer(path, data, nodes, **more):
        asked.update(path=path, data=data, nodes=nodes, **more)
        return Report(findings, ABOUT)

    monkeypatch.setattr("flame_flwr.testing.kit.check_path", answer)
    options = ["--data", "a", "--data", "b", "--max-rounds", "9", "--skip", "order"]
    done = CliRunner().invoke(commands._app, ["check", str(tmp_path), *options])
    assert done.exit_code == code
    assert "Analyzer and Aggregator, 3 nodes, 2 rounds" in done.output
    assert ("nothing found in 15 checks" in done.output) == (not findings)
    assert asked == {
        "path": tmp_path,
        "data": ["a", "b"],
        "nodes": None,
        "max_rounds": 9,
        "seconds": 60.0,
        "skip": ["order"],
    }


@pytest.mark.parametrize("width", [80, 60, 20])
def test_lines_of_a_finding_end_between_words(width, monkeypatch, capsys):
    seen = (
        "it writes /a/long/path/of/somebody/to/some/place/far/away/in/a-tree/of_folders.csv\nas 2"
    )
    mend = "seed the generators, such as np.random.default_rng([7, self.num_iterations])"
    finding = Finding(
        "folder", "FederatedLogisticRegressionAnalyzer", "analysis_method", seen, mend
    )
    monkeypatch.setenv("COLUMNS", str(width))
    show_report(Report([finding], {}))
    lines = capsys.readouterr().out.splitlines()
    words = [word for line in lines for word in line.split()]
    assert words == [
        *("1", "error,", "0", "warnings", "error", "folder", finding.location),
        *(*seen.split(), ">", *mend.split()),
    ]
    assert not [line for line in lines if len(line) > max(width, 40) and len(line.split()) > 3]


def test_findings_are_printed_as_they_are(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    show_report(Report([FINDING, WARNING], {**ABOUT, "messages": True}))
    text = capsys.readouterr().out
    for part in (
        "it was run in one process alone",
        "1 error, 1 warning",
        "warning",
        "data",
        "Analyzer.analysis_method",
        "it changes [its] data",
        "Copy it",
    ):
        assert part in text
