"""Six rounds, 5.46875: in process, as a script, in simulation, and in a loop of five lines."""

import importlib.util
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from forked_python import run_python
from snippets import texts

from flame_flwr.errors import ConfigError
from flame_flwr.star import StarModelTester

EXAMPLE = Path(__file__).parents[1]
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")


def plain_loop(splits, rounds=6):
    """Return the common average after every round, without the framework."""
    common = []
    for _ in range(rounds):
        local = [sum(split) / len(split) for split in splits]
        if common:
            local = [(average + common[-1]) / 2 + 0.5 for average in local]
        common.append(sum(local) / len(local))
    return common


@pytest.fixture(scope="module")
def app():
    """The app's one file, under a name that no other example has."""
    spec = importlib.util.spec_from_file_location("quickstart_app", EXAMPLE / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_process(app, splits, analyzer=None, **options):
    return StarModelTester(
        splits, analyzer or app.MyAnalyzer, app.MyAggregator, "s3", simple_analysis=False, **options
    )


def node(partition):
    return SimpleNamespace(node_config={"partition-id": partition})


def test_in_process_it_is_the_plain_loop(app):
    tester = in_process(app, [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert tester.result == 5.46875 == plain_loop([[1, 2, 3, 4], [5, 6, 7, 8]])[-1]
    assert (tester.rounds, tester.converged) == (6, True)


@pytest.mark.parametrize("nodes", [1, 3, 10])
def test_any_number_of_nodes(app, nodes):
    splits = [app.node_data(node(partition)) for partition in range(nodes)]
    tester = in_process(app, splits)
    assert tester.result == pytest.approx(plain_loop(splits)[-1], rel=1e-15)
    assert tester.rounds == 6


def test_simulated_nodes_have_the_scripts_numbers(app):
    assert [app.node_data(node(k)) for k in range(2)] == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_every_round_is_that_of_the_loop(app):
    seen = []

    class Watched(app.MyAnalyzer):
        def analysis_method(self, data, aggregator_results):
            seen.append(aggregator_results)
            return super().analysis_method(data, aggregator_results)

    in_process(app, [[1, 2, 3, 4], [5, 6, 7, 8]], analyzer=Watched)
    expected = [None, *plain_loop([[1, 2, 3, 4], [5, 6, 7, 8]], rounds=5)]
    assert seen == [value for value in expected for _ in range(2)]


def test_a_real_node_is_told_what_to_do(app):
    with pytest.raises(ConfigError, match="This node is a real one: its analyzer gets files") as no:
        app.node_data(SimpleNamespace(node_config={"name": "hospital-a"}))
    assert "`data` in its config names them" in no.value.message


def test_an_empty_node_is_named_with_its_round(app):
    with pytest.raises(ZeroDivisionError) as caught:
        in_process(app, [[1, 2], []])
    assert "node-1" in caught.value.__notes__[0]
    assert "round 1" in caught.value.__notes__[0]


def test_the_script_prints_what_the_readme_shows(tmp_path):
    environment = {key: text for key, text in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    done = run_python(EXAMPLE / "app.py", cwd=tmp_path, env=environment)
    assert done.stdout.splitlines()[-1] == "Final result: 5.46875"
    assert list(tmp_path.iterdir()) == []
    [quoted] = texts(EXAMPLE / "README.md", "text")
    quoted = quoted.splitlines()
    lines = [line for line in quoted if line.startswith(("[", "Final"))]
    assert len(lines) > 6
    for line in lines:
        assert line in done.stdout.splitlines(), line
