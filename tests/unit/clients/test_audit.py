"""The audit log: every answer that leaves a node, its structure, and none of its values."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from flwr.app import ConfigRecord
from node_messages import call

from flame_flwr.clients import NodePlan, audit
from flame_flwr.clients.app import make_client_app
from flame_flwr.data.expect import Column, Table
from flame_flwr.flower import HELLO
from flame_flwr.payload import encode, to_record
from flame_flwr.regression import GLM
from flame_flwr.regression.rows import agreement
from flame_flwr.star import StarAnalyzer


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        if self.num_iterations == 1:
            raise ValueError("Maria Muster")
        return {"coef": np.full((1, 30), 1961.25), "n": 1961, "who": ["Maria Muster"] * 3}

    def evaluation_method(self, data, result):
        return {"auc": 0.1961}


@pytest.fixture
def log(tmp_path):
    return tmp_path / "audit" / "log.jsonl"


@pytest.fixture
def node(context, log):
    made = context({"name": "hospital-a", "audit-log": str(log)}, run_id=42)
    made.run_config = {"project-id": "long-covid"}
    return made


def ask(node, kind, prefix, number, **plan):
    app = make_client_app(NodePlan(Analyzer, **plan))
    config = {"round": number, "after": 0, "analyzers": json.dumps(["hospital-a"])}
    content = {f"{prefix}.config": ConfigRecord(config)}
    if number:
        content[f"{prefix}.parameters"] = to_record(encode(number))
    return call(app, node, content, kind)


def lines(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def without_chance(lines):
    """Return lines as text, without what may have any digits."""
    chance = {"sha256", "previous", "time"}
    return json.dumps([{k: line[k] for k in line if k not in chance} for line in lines])


def test_findings_are_noted_in_their_words(node, log, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "p.csv").write_text("age\n1961\n")
    node.node_config["data"] = str(tmp_path / "data")
    expected = Table("p.csv", {"age": Column("number", high=120)})
    ask(node, HELLO, "getpropertiesins", 0, data_type="s3", expects=(expected,))
    [line] = lines(log)
    assert line["findings"] == ["p.csv: column 'age' has values above 120"]
    assert "1961" not in without_chance([line])


def test_a_round_is_noted_with_its_structure(node, log):
    reply = ask(node, "train", "fitins", 1)
    [line] = lines(log)
    assert (line["project"], line["run"]) == ("long-covid", "42")
    assert (line["node"], line["answer_to"], line["round"]) == ("hospital-a", "train", 1)
    assert line["result"] == (
        "dict('coef': ndarray float64 (1, 30), 'n': int, 'who': list(3 x str))"
    )
    digest, size = hashlib.sha256(), 0
    for name, record in reply.content.items():
        if name == "fitres.parameters":
            parts = [array.data for array in record.values()]
        else:
            parts = [json.dumps(dict(record)).encode()]
        for part in parts:
            digest.update(part)
            size += len(part)
    assert (line["sha256"], line["bytes"]) == (digest.hexdigest(), size)
    assert line["records"]["fitres.parameters"][0].startswith("ndarray uint8 (")


def test_a_round_of_a_regression_says_so(node, log, tmp_path):
    """So that who reads the log can count models."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "p.csv").write_text("age,ill\n50,0\n61,1\n47,1\n83,0\n70,1\n")
    node.node_config["data"] = str(folder)
    node.run_id = 43  # what a run has read is kept for its next round
    study = GLM("ill ~ age", "binomial")
    asked = study.strategy.update({"agreed": agreed(study)}, {"stage": "agree", "secure": False})
    app = make_client_app(NodePlan(study.analyzer, data_type="s3"))
    for number, question in enumerate([{"stage": "agree", "secure": False}, asked], 1):
        config = {"round": number, "after": 0, "analyzers": json.dumps(["hospital-a"])}
        content = {"fitins.config": ConfigRecord(config)}
        content["fitins.parameters"] = to_record(encode(question))
        call(app, node, content, "train")
    assert [line["regression"] for line in lines(log)] == [{"parameters": 0}, {"parameters": 2}]


def test_a_masked_round_of_a_regression_says_so():
    """The names of its columns are in clear, its sums are not."""
    said = {"statistic": "ScoreInformation", "columns": ["Intercept", "age"], "n": None}
    form = [["dict", ["fit"], [["statistic", said, [[64, 0, 7], [256, 128, 5]]]]]]
    assert audit._regression(form) == {"regression": {"parameters": 2}}
    assert audit._regression([["dict", ["n"], [["number", "int"]]]]) == {}


def agreed(study):
    """Return what one hospital says in the first round."""
    table = pd.DataFrame({"age": [50, 61, 47, 83, 70], "ill": [0, 1, 1, 0, 1]})
    return agreement(study.design, table, secure=False) | {"outcome": study.agree(table)}


def test_no_value_is_in_it(node, log):
    ask(node, "train", "fitins", 1)
    ask(node, "train", "fitins", 2)
    ask(node, "evaluate", "evaluateins", 1)
    ask(node, "get_properties", "getpropertiesins", 0)
    hello, evaluation = lines(log)[3], lines(log)[2]
    assert hello["answer_to"] == "get_properties"
    assert "name: str" in hello["records"]["getpropertiesres.properties"]
    assert "auc: float" in evaluation["records"]["evaluateres.metrics"]
    assert "1961" not in without_chance(lines(log))


def test_a_failure_is_noted_as_it_leaves(node, log, deployed):
    ask(node, "train", "fitins", 2)
    [line] = lines(log)
    assert line["failure"].startswith("ValueError at test_audit.py:")
    assert line["result"] == "nothing"
    assert "Maria" not in log.read_text()


def test_the_file_grows_and_its_group_reads_it(node, log):
    for _ in range(3):
        ask(node, "train", "fitins", 1)
    assert len(lines(log)) == 3
    assert log.stat().st_mode & 0o777 == 0o640
    assert log.parent.stat().st_mode & 0o777 == 0o750


def test_an_answer_that_cannot_be_noted_stays(node, log):
    log.parent.mkdir()
    log.mkdir()
    reply = ask(node, "train", "fitins", 1)
    assert not reply.has_content()
    assert "without it no answer leaves this node" in reply.error.reason


def test_hello_finds_a_log_that_cannot_be_written(context, tmp_path):
    (tmp_path / "file").touch()
    node = context({"name": "a", "audit-log": str(tmp_path / "file" / "log")})
    reply = ask(node, "get_properties", "getpropertiesins", 0)
    assert not reply.has_content()
    said = "node a: ConfigError: File exists: `audit-log` in this node's config cannot be written"
    assert reply.error.reason.startswith(said)


def test_without_a_log_nothing_is_written(context, tmp_path):
    ask(context({"name": "a"}), "train", "fitins", 1)
    assert list(tmp_path.iterdir()) == []
