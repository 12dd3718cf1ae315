"""``StarModelTester``: results, history, what it prints, what it refuses."""

import logging
import os

import numpy as np
import pytest
from echo import Aggregator, Analyzer, run
from forked_python import run_python
from hanging import HANGS

from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_lines_for_debugging_are_shown(here, capsys, monkeypatch):
    class Says(Analyzer):
        def analysis_method(self, data, aggregator_results):
            self.flame.flame_log("a detail", log_type="debug")
            return data

    StarModelTester([1], Says, Aggregator, "s3", quiet=False)
    assert "DEBUG: [node-0, round 1] a detail" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (0, "max_rounds must be at least 1, not 0"),
        (-3, "max_rounds must be at least 1, not -3"),
        (True, "max_rounds must be int, not bool"),
        ("5", "max_rounds must be int, not str"),
        (5.0, "max_rounds must be int, not float"),
    ],
)
def test_an_impossible_max_rounds_is_refused(limit, message):
    with pytest.raises(ConfigError) as caught:
        run([1], max_rounds=limit)
    assert str(caught.value) == message


def test_history_has_seconds_and_bytes_per_node():
    tester = run([np.zeros(10_000), 3], simple_analysis=False)
    assert (tester.rounds, tester.converged) == (2, True)
    first, last = tester.record.history
    assert list(first.node_seconds) == list(first.node_bytes) == ["node-0", "node-1"]
    assert 80_000 < first.node_bytes["node-0"] < 80_300
    assert first.node_bytes["node-1"] < 40
    assert 0 < sum(first.node_seconds.values()) <= first.seconds
    assert first.aggregate == "list of 2"
    assert (first.converged, first.reason) == (False, "")
    assert (last.converged, last.reason) == (True, "has_converged returned True")


def test_aggregate_and_evaluations_are_attributes_too():
    class Scores(Analyzer):
        def evaluation_method(self, data, result):
            return {"n": len(result)}

    class Finishes(Aggregator):
        def final_method(self, result, evaluations):
            return "file"

    tester = StarModelTester([1, 2], Scores, Finishes, "s3")
    assert tester.result == "file"
    assert tester.aggregate == [1, 2]
    assert tester.evaluations == {"node-0": {"n": 2}, "node-1": {"n": 2}}


@pytest.mark.parametrize("data_type", ["s3", "fhir", "none"])
def test_any_split_reaches_the_analyzer_untouched(data_type):
    marker = object()
    seen = []

    class Looks(Analyzer):
        def analysis_method(self, data, aggregator_results):
            seen.append(data)
            return 1

    StarModelTester([marker], Looks, Aggregator, data_type, query="Patient?_count=100")
    assert seen == [None if data_type == "none" else marker]


def test_an_unusual_split_is_warned_of_once(caplog, monkeypatch):
    monkeypatch.setattr("flame_flwr.analysis.splits._WARNED_OF", set())
    with caplog.at_level(logging.WARNING, logger="flame_flwr"):
        run([[{"a": b""}], [1, 2], 3])
        run([[{"a": b""}], [1, 2]])
    [record] = caplog.records
    assert record.getMessage().startswith("data_splits[1] is of type list. That works here")
    run([4])
    assert "data_splits[0] is of type int" in caplog.text


def test_a_usual_table_raises_no_words(caplog, monkeypatch):
    monkeypatch.setattr("flame_flwr.analysis.splits._WARNED_OF", set())
    monkeypatch.setattr(Analyzer, "takes_tables", True, raising=False)
    run([1, 2])
    assert "data_splits" not in caplog.text


def test_without_splits_nothing_is_unusual(caplog, monkeypatch):
    monkeypatch.setattr("flame_flwr.analysis.splits._WARNED_OF", set())
    StarModelTester([None, 1], Analyzer, Aggregator, "none")
    assert "data_splits" not in caplog.text


@pytest.mark.parametrize("splits", [3, None, "ab", b"ab", {"a": 1}, {1, 2}, []])
def test_data_splits_that_are_no_list_are_refused(splits):
    said = "data_splits is empty" if splits == [] else "must be a list with one entry per node"
    with pytest.raises(ModelError, match=said):
        run(splits)


@pytest.mark.parametrize(
    "given",
    [
        ("Patient?_count=100",),
        (["Patient", "Observation?_count=1"], True, "str"),
        ("Patient", False),
        (None, False, "pickle"),
        (None, "Patient", False, "pickle"),
        (["default", "default"], "Patient", False),
    ],
)
def test_arguments_may_stand_in_the_guides_order(given):
    """FLAME's guide prints `query` where this signature has `node_roles`."""
    asked = []

    class Never(Aggregator):
        def has_converged(self, result, last_result):
            asked.append(self.num_iterations)
            return True

    tester = StarModelTester([1, 2], Analyzer, Never, "s3", *given)
    assert tester.result == [1, 2]
    assert tester.rounds == (2 if False in given else 1)


@pytest.mark.parametrize("given", [("Patient",), (["Patient", "Condition"],), (None,)])
def test_the_guides_arguments_may_keep_its_order(given, tmp_path):
    """Its signature has no `multiple_results` either."""

    class Scaled(StarAnalyzer):
        def __init__(self, flame, factor=1):
            super().__init__(flame)
            self.factor = factor

        def analysis_method(self, data, aggregator_results):
            return data * self.factor

    class Shifted(StarAggregator):
        def __init__(self, flame, by=0):
            super().__init__(flame)
            self.by = by

        def aggregation_method(self, analysis_results):
            return sum(analysis_results) + self.by

        def has_converged(self, result, last_result):
            return True

    def run_with(*more, **named):
        return StarModelTester([1, 2], Scaled, Shifted, "s3", *given, True, "str", *more, **named)

    factor, by = {"factor": 3}, {"by": 100}
    assert run_with().result == 3
    assert run_with(factor).result == 9
    assert run_with(factor, by).result == 109
    assert run_with(None, by).result == 103
    assert run_with(factor, by, 1e9, 1.0).result == pytest.approx(109, abs=1e-3)
    assert run_with(factor, by, None, None, str(tmp_path / "sum")).result == 109
    assert (tmp_path / "sum.txt").read_text() == "109"
    assert run_with(analyzer_kwargs=factor, epsilon=1e9, sensitivity=1.0).privacy is not None


def test_the_references_log_level_is_taken(caplog):
    caplog.set_level("INFO", "flame_flwr")
    assert run([1], stream_log_level=20).result == [1]
    assert "ignored, without effect here: stream_log_level" in caplog.text


@pytest.mark.parametrize(
    ("data_type", "split", "key"),
    [
        ("fhir", [{"patients.csv": b"a"}], "'patients.csv'"),
        ("fhir", [{"Patient": {}}, {"b.csv": bytearray(b"a")}], "'b.csv'"),
        ("fhir", [{"Patient": {"resourceType": "Bundle"}}], ""),
        ("s3", [{"patients.csv": b"a"}], ""),
    ],
)
def test_files_where_bundles_belong_are_noticed(data_type, split, key, caplog, monkeypatch):
    monkeypatch.setattr("flame_flwr.analysis.splits._WARNED_OF", set())
    StarModelTester([split], Analyzer, Aggregator, data_type)
    said = [each.getMessage() for each in caplog.records if "data_splits" in each.getMessage()]
    assert len(said) == bool(key)
    assert all(
        f"[0] has bytes under {key}, as a file of data_type 's3' is" in text for text in said
    )


def test_node_roles_may_say_what_is_so():
    assert run([1, 2], node_roles=["default", "default"]).result == [1, 2]
    assert run([1], node_roles=["default", "aggregator"]).result == [1]
    with pytest.raises(ModelError, match="node_roles must be 'default' for every one of the 2"):
        run([1, 2], node_roles=["default", "proxy"])


def test_quiet_false_prints_once_whatever_logging_does(here):
    code = """
import logging, os, sys
from flame_flwr.star import *
class A(StarAnalyzer):
    def analysis_method(self, data, r): return 1
class G(StarAggregator):
    def aggregation_method(self, rs): return 4321
    def has_converged(self, result, last): return True
for setup in (
    lambda: None,
    lambda: logging.basicConfig(level="WARNING", stream=sys.stdout),
    lambda: logging.getLogger("flame_flwr").setLevel("ERROR"),
):
    if os.fork():
        os.wait()
        continue
    setup()
    for quiet in (False, True, False):
        StarModelTester([[dict(a=1)]], A, G, "s3", quiet=quiet)
    print("its end", flush=True)
    os._exit(0)
"""
    done = run_python("-c", code, timeout=HANGS)
    *three, nothing = done.stdout.split("its end\n")
    assert [said.count("Final result: 4321") for said in three] == [2, 2, 2]
    assert nothing == ""


def test_what_it_prints_outside_pytest(tmp_path):
    code = """
from flame_flwr.star import *
class A(StarAnalyzer):
    def analysis_method(self, data, r):
        self.flame.flame_log(f"sum {sum(data[0].values())}")
        return 1
class G(StarAggregator):
    def aggregation_method(self, rs): return len(rs)
    def has_converged(self, result, last): return True
StarModelTester([[{"a": 1}], [{"a": 2}]], A, G, "s3")
StarModelTester([[{"a": 1}]], A, G, "s3", filename="out.txt")
StarModelTester([[{"a": 1}]], A, G, "s3", quiet=True)
"""
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    done = run_python("-c", code, cwd=tmp_path, env=environment, timeout=HANGS)
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        "2 nodes take part: node-0, node-1",
        "--- Round 1 ---",
        "[node-0, round 1] sum 1",
        "[node-1, round 1] sum 2",
    ]
    assert lines[4].startswith("round 1: 2 of 2 nodes, ")
    assert lines[4].endswith(": a simple analysis has one round")
    assert lines[5] == "Final result: 2"
    assert lines[6] == "1 node takes part: node-0"
    assert lines[-1] == f"Final result written to {tmp_path / 'out.txt'}"
    assert lines.count("--- Round 1 ---") == 2


def test_payload_and_client_work_in_process():
    from flame_flwr.clients import StarClient

    class Twice(StarClient):
        def fit(self, parameters, config):
            arrays, examples, metrics = super().fit(parameters, config)
            return arrays, 2 * examples, metrics

    class Odd:
        """Travels as a pickle only."""

    globals()["Odd"] = Odd
    Odd.__qualname__ = "Odd"
    assert run([1, 2], client=Twice).result == [1, 2]
    [value] = run([Odd()], payload="pickle").result
    assert type(value) is Odd


def test_a_table_as_splits_is_refused(tmp_path):
    import pandas as pd

    from flame_flwr.analysis.splits import check_splits
    from flame_flwr.data import read_folder
    from flame_flwr.errors import DataError

    with pytest.raises(ModelError, match="pass a list of DataFrames"):
        check_splits(pd.DataFrame({"a": [1], "b": [2]}), None)
    (tmp_path / "x.csv").write_text("a")
    with pytest.raises(DataError, match="is a file; name the folder that it is in"):
        read_folder(tmp_path / "x.csv")
