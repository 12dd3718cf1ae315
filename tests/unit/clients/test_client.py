"""``StarClient``: hello, rounds, data, failures that keep what they know on the node."""

import json
import os
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

import flame_flwr
from flame_flwr.clients import NodePlan, StarClient, checked_client
from flame_flwr.clients import client as client_module
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import ConfigError, DataError, PayloadError
from flame_flwr.failure.failure import Failure
from flame_flwr.payload import (
    WIRE_VERSION,
    decode,
    encode,
    from_arrays,
    from_record,
    npy_bytes,
    to_arrays,
    to_record,
)
from flame_flwr.star import StarAnalyzer
from flame_flwr.versions import installed

SECRET = "Maria Muster, born 1961"
EVERYONE = json.dumps(["node-0", "node-1"])


class Report(StarAnalyzer):
    """Returns what it sees, so that a test can look at it."""

    def analysis_method(self, data, aggregator_results):
        return {
            "data": data,
            "aggregate": aggregator_results,
            "id": self.id,
            "round": self.num_iterations,
            "partners": self.partner_node_ids,
            "analysis": self.flame.get_analysis_id(),
            "project": self.flame.get_project_id(),
        }


class Scored(Report):
    def evaluation_method(self, data, result):
        return {"n": len(data), "twice": np.float32(2 * result), "round": self.num_iterations}


def plan(analyzer=Report, data_type="s3", **more):
    return NodePlan(analyzer, data_type=data_type, **more)


def fit(client, number, aggregate=None, **config):
    """Run a round and return the value and the metrics."""
    if number == 1:
        config = {"analyzers": EVERYONE, **config}
    arrays, examples, metrics = client.fit(
        to_arrays(encode(aggregate)), {"round": number, **config}
    )
    assert examples == 1
    return decode(from_arrays(arrays)), metrics


def ask(grid, kind, content, node=1):
    """Send one message to a node and return its reply."""
    [reply] = grid.send_and_receive([Message(RecordDict(content), node, kind)])
    return reply


def train(grid, number, aggregate=None, node=1, **config):
    """Run a round over messages; return the value, or the failure."""
    if number == 1:
        config = {"analyzers": EVERYONE, **config}
    content = {
        "fitins.parameters": to_record(encode(aggregate)),
        "fitins.config": ConfigRecord({"round": number, **config}),
    }
    reply = ask(grid, "train", content, node)
    metrics = reply.content["fitres.metrics"]
    if "failure" in metrics:
        return Failure.from_json(metrics["failure"])
    return decode(from_record(reply.content["fitres.parameters"]))


@pytest.fixture
def deployed(monkeypatch):
    """Make the client believe that it runs on a deployment."""
    monkeypatch.setattr(client_module, "runtime", lambda: "deployment")
    monkeypatch.setattr(checked_client, "runtime", lambda: "deployment")


@pytest.fixture
def data_folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_bytes(b"1,2")
    return str(tmp_path / "data")


# ---- hello ----------------------------------------------------------------------------------


def test_hello_tells_who_the_node_is_and_nothing_of_its_data(context, data_folder):
    node = context({"name": "hospital-a", "data": data_folder})
    assert StarClient(plan(), node).get_properties({}) == {
        "name": "hospital-a",
        "framework": flame_flwr.__version__,
        "wire": WIRE_VERSION,
        "versions": json.dumps(installed()),
        "evaluates": False,
        "partitions": 0,
        "keeps-state": False,
        "states": "[]",
    }


def test_hello_tells_whether_the_analyzer_evaluates(context):
    assert StarClient(plan(Scored, "none"), context()).get_properties({})["evaluates"] is True


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"name": "hospital-a", "partition-id": 3}, "hospital-a"),
        ({"partition-id": 3, "num-partitions": 5}, "node-3"),
        ({"partition-id": 0}, "node-0"),
        ({"name": "  "}, "7"),
        ({}, "7"),
    ],
)
def test_a_nodes_name_is_its_own_else_its_partition_else_flowers_id(context, config, name):
    assert StarClient(plan(data_type="none"), context(config)).get_properties({})["name"] == name


def test_hello_over_messages(context):
    with LocalGrid(plan(), [[{"a": b"1"}], [{}], [{}]]) as grid:
        reply = ask(grid, "get_properties", {"getpropertiesins.config": ConfigRecord({})}, node=2)
    said = dict(reply.content["getpropertiesres.properties"])
    assert said["name"] == "node-1"
    assert said["partitions"] == 3
    assert said["wire"] == WIRE_VERSION


def test_hello_finds_a_missing_folder(context, tmp_path):
    client = StarClient(plan(), context({"data": str(tmp_path / "secret-place")}))
    with pytest.raises(DataError, match=r"the data folder does not exist.*in the node's config"):
        client.get_properties({})


def test_a_missing_folder_of_the_run_config_is_looked_for_there(context, tmp_path):
    in_run = {"data": str(tmp_path / "nowhere")}
    with (
        LocalGrid(plan(), [None]),  # a runtime that is no deployment
        pytest.raises(DataError, match=r"does not exist.*check `data` in the run config"),
    ):
        StarClient(plan(), context({"partition-id": 0}, run_config=in_run)).get_properties({})


def test_hello_finds_a_node_without_data(context):
    with pytest.raises(ConfigError, match="this node's config has neither `data` nor `datasets`"):
        StarClient(plan(), context()).get_properties({})


def test_hello_finds_a_wrong_node_config(context):
    with pytest.raises(ConfigError, match=r"unknown key `nme`.*did you mean `name`"):
        StarClient(plan(data_type="none"), context({"nme": "a"})).get_properties({})


def test_without_data_no_folder_is_asked_for(context):
    client = StarClient(plan(data_type="none"), context())
    assert client.open_data() is None
    assert fit(client, 1)[0]["data"] is None


# ---- rounds ---------------------------------------------------------------------------------


def test_a_round_gives_the_analyzer_what_star_says(context, data_folder):
    node = context(
        {"partition-id": 1, "data": data_folder}, {"analysis-id": "A", "project-id": "P"}
    )
    value, metrics = fit(StarClient(plan(), node), 1)
    assert value == {
        "data": [{"a.csv": b"1,2"}],
        "aggregate": None,
        "id": "node-1",
        "round": 0,
        "partners": ["node-0", "aggregator"],
        "analysis": "A",
        "project": "P",
    }
    assert list(metrics) == ["seconds"]
    assert metrics["seconds"] >= 0


def test_later_rounds_get_the_aggregate_and_need_not_be_told_the_nodes_again(context, data_folder):
    node = context({"partition-id": 0, "data": data_folder})
    fit(StarClient(plan(), node), 1)
    value, _ = fit(StarClient(plan(), node), 2, {"w": np.arange(3.0)})
    assert value["aggregate"]["w"].tolist() == [0.0, 1.0, 2.0]
    assert value["partners"] == ["node-1", "aggregator"]
    assert value["round"] == 1


def test_what_a_node_receives_is_its_own_and_writable(context):
    class Writes(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            if aggregator_results is not None:
                aggregator_results["w"] += 1
                return aggregator_results["w"]
            return None

    with LocalGrid(plan(Writes, "none"), [None, None]) as grid:
        train(grid, 1, node=1)
        train(grid, 1, node=2)
        aggregate = {"w": np.zeros(5000)}
        assert train(grid, 2, aggregate, node=1).tolist() == [1.0] * 5000
        assert train(grid, 2, aggregate, node=2).tolist() == [1.0] * 5000
        assert aggregate["w"].tolist() == [0.0] * 5000


def test_a_query_selects_the_files(context, tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    client = StarClient(plan(query=["b"]), context({"data": str(tmp_path)}))
    assert fit(client, 1)[0]["data"] == [{"b": b"b"}]


def test_evaluation_scores_the_last_aggregate(context):
    node = context({"partition-id": 0})
    client = StarClient(plan(Scored), node)
    client.open_data = lambda: flame_flwr.data.SplitData([1, 2, 3])
    fit(client, 1)
    loss, examples, metrics = client.evaluate(to_arrays(encode(1.5)), {"round": 1})
    assert (loss, examples) == (0.0, 1)
    assert metrics == {"n": 3, "twice": 3.0, "round": 1}
    assert [type(value) for value in metrics.values()] == [int, float, int]


@pytest.mark.parametrize(
    ("scores", "what"),
    [
        (None, "not NoneType"),
        ([1.0], "not list"),
        ({"auc": "high"}, "an entry is str: str"),
        ({1: 0.5}, "an entry is int: float"),
        ({"auc": [0.5]}, "an entry is str: list"),
    ],
)
def test_evaluation_must_give_numbers_by_name(context, scores, what):
    class Wrong(Report):
        def evaluation_method(self, data, result):
            return scores

    node = context()
    client = StarClient(plan(Wrong, "none"), node)
    fit(client, 1)
    with pytest.raises(flame_flwr.errors.ModelError) as raised:
        client.evaluate(to_arrays(encode(1)), {"round": 1})
    assert "Wrong.evaluation_method must return a dict of numbers" in raised.value.message
    assert what in raised.value.message
    assert "high" not in raised.value.message


def test_an_analyzer_that_forgets_super_is_told(context):
    class Forgets(Report):
        def __init__(self, flame):
            self.mine = 1

    with pytest.raises(flame_flwr.errors.ModelError) as raised:
        fit(StarClient(plan(Forgets, "none"), context()), 1)
    assert "Forgets.__init__ must call super().__init__(flame)" in str(raised.value)


def test_keyword_arguments_reach_every_node_as_a_copy(context):
    class Keyword(StarAnalyzer):
        def __init__(self, flame, names):
            super().__init__(flame)
            names.append(self.id)
            self.names = names

        def analysis_method(self, data, aggregator_results):
            return self.names

    kwargs = {"names": ["start"]}
    with LocalGrid(plan(Keyword, "none", analyzer_kwargs=kwargs), [None, None]) as grid:
        assert train(grid, 1, node=1) == ["start", "node-0"]
        assert train(grid, 1, node=2) == ["start", "node-1"]
    assert kwargs == {"names": ["start"]}


def test_initial_arrays_are_what_the_analyzer_gets_in_the_first_round(context):
    value, _ = fit(StarClient(plan(data_type="none"), context()), 1, {"w": 3.5})
    assert value["aggregate"] == {"w": 3.5}


# ---- data -----------------------------------------------------------------------------------

COUNTING = """
loads = []

def table(context):
    loads.append((context.run_id, context.node_id))
    return {"patients.csv": b"x", "other.csv": b"y"}
"""


@pytest.fixture
def counting(tmp_path, monkeypatch):
    (tmp_path / "counting_hospital.py").write_text(COUNTING)
    monkeypatch.syspath_prepend(tmp_path)
    import counting_hospital

    yield counting_hospital
    sys.modules.pop("counting_hospital", None)


def test_data_is_loaded_once_per_process(context, counting):
    node = context({"data": "counting_hospital:table"})
    for number in (1, 2, 3):
        value, _ = fit(StarClient(plan(), node), number, 0)
        assert list(value["data"][0]) == ["patients.csv", "other.csv"]
    assert len(counting.loads) == 1


def test_each_node_of_a_process_has_data_of_its_own(context, counting):
    run = context().run_id
    for node_id in (1, 2):
        node = context({"data": "counting_hospital:table"}, run_id=run, node_id=node_id)
        fit(StarClient(plan(), node), 1)
        fit(StarClient(plan(), node), 2, 0)
    assert counting.loads == [(run, 1), (run, 2)]


def test_data_does_not_leak_into_the_next_run(context, counting):
    for _ in range(2):
        fit(StarClient(plan(), context({"data": "counting_hospital:table"})), 1)
    assert len(counting.loads) == 2
    assert len({run for run, _ in client_module._LOADED}) == 1


def test_another_round_sees_all_files_although_the_first_dropped_one(context, counting):
    class Drops(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            data[0].pop("patients.csv")
            rest = list(data[0])
            data.clear()
            return rest

    node = context({"data": "counting_hospital:table"})
    for number in (1, 2, 3):
        assert fit(StarClient(plan(Drops), node), number, 0)[0] == ["other.csv"]
    assert len(counting.loads) == 1


def test_the_run_config_may_name_data_in_a_simulation(context, data_folder, monkeypatch):
    monkeypatch.setattr(client_module, "runtime", lambda: "simulation")
    monkeypatch.setattr(checked_client, "runtime", lambda: "simulation")
    client = StarClient(plan(), context({"partition-id": 0}, {"data": data_folder}))
    assert fit(client, 1)[0]["data"] == [{"a.csv": b"1,2"}]


@pytest.mark.parametrize("own", [{}, {"data": "/srv/own"}])
def test_the_run_config_must_not_name_data_on_a_deployment(context, data_folder, deployed, own):
    client = StarClient(plan(), context(own, {"data": data_folder}))
    with pytest.raises(ConfigError) as raised:
        client.get_properties({})
    assert "`data` in the run config is for simulations" in str(raised.value)
    assert "its own node config" in str(raised.value)
    with pytest.raises(ConfigError, match="for simulations"):
        fit(client, 1)


def test_a_nodes_own_data_comes_before_the_run_configs(context, tmp_path, monkeypatch):
    monkeypatch.setattr(client_module, "runtime", lambda: "simulation")
    monkeypatch.setattr(checked_client, "runtime", lambda: "simulation")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine").write_bytes(b"m")
    client = StarClient(plan(), context({"data": str(tmp_path / "own")}, {"data": "/nowhere"}))
    assert fit(client, 1)[0]["data"] == [{"mine": b"m"}]


# ---- failures -------------------------------------------------------------------------------


def wire(record):
    """Return all the bytes that a record becomes on Flower's wire."""
    own = record.deflate()
    return own + b"".join(wire(child) for child in (record.children or {}).values())


def raise_text(self, data, result):
    raise ValueError(f"could not convert {SECRET}")


def raise_key(self, data, result):
    return {}[SECRET]


def raise_with_note(self, data, result):
    error = ValueError("x")
    error.add_note(SECRET)
    raise error from RuntimeError(SECRET)


def raise_group(self, data, result):
    raise ExceptionGroup(SECRET, [ValueError(SECRET)])


def exit_with_text(self, data, result):
    sys.exit(SECRET)


def return_unsendable(self, data, result):
    return {SECRET: {"inner": object()}}


def keep_unpicklable(self, data, result):
    local = SECRET
    self.keeps = lambda: local
    return 1


def call_unavailable(self, data, result):
    return self.flame.get_data_client(SECRET)


LEAKS = [
    raise_text,
    raise_key,
    raise_with_note,
    raise_group,
    exit_with_text,
    return_unsendable,
    keep_unpicklable,
    call_unavailable,
]


def leaking(method, evaluation=None):
    members = {"analysis_method": method}
    if evaluation is not None:
        members["evaluation_method"] = evaluation
    return type("Leaking", (StarAnalyzer,), members)


def failing_reply(method):
    with LocalGrid(plan(leaking(method)), [[{SECRET: SECRET.encode()}]]) as grid:
        content = {
            "fitins.parameters": to_record(encode(None)),
            "fitins.config": ConfigRecord({"round": 1, "analyzers": EVERYONE}),
        }
        return ask(grid, "train", content)


@pytest.mark.parametrize("method", LEAKS, ids=lambda method: method.__name__)
def test_on_a_deployment_a_failure_carries_no_text_of_the_error_nor_data(method, deployed):
    reply = failing_reply(method)
    everything = wire(reply.content)
    for word in (b"Maria", b"Muster", b"1961"):
        assert word not in everything
    failure = Failure.from_json(reply.content["fitres.metrics"]["failure"])
    assert failure.type
    assert failure.traceback == ""


def test_on_a_deployment_a_failure_carries_type_and_place(deployed):
    reply = failing_reply(raise_text)
    failure = Failure.from_json(reply.content["fitres.metrics"]["failure"])
    line = raise_text.__code__.co_firstlineno + 1
    assert failure == Failure("ValueError", f"test_client.py:{line} in raise_text")


@pytest.mark.parametrize("method", LEAKS[:3], ids=lambda method: method.__name__)
def test_in_this_process_a_failure_carries_text_and_traceback(method):
    reply = failing_reply(method)
    assert b"Maria Muster" in wire(reply.content)
    failure = Failure.from_json(reply.content["fitres.metrics"]["failure"])
    assert "Maria Muster" in failure.traceback
    assert "Traceback (most recent call last)" in failure.traceback


@pytest.mark.parametrize(
    ("where", "share", "shared"),
    [
        ("deployment", None, False),
        ("deployment", True, True),
        ("deployment", False, False),
        ("simulation", None, True),
        ("simulation", False, False),
        ("process", False, False),
        ("deployment", "true", False),
    ],
)
def test_the_node_decides_whether_its_errors_travel(context, monkeypatch, where, share, shared):
    monkeypatch.setattr(client_module, "runtime", lambda: where)
    monkeypatch.setattr(checked_client, "runtime", lambda: where)
    config = {} if share is None else {"share-tracebacks": share}
    client = StarClient(plan(leaking(raise_text), "none"), context(config)).to_client()
    properties = checked_client.FitIns(
        checked_client.Parameters([], "numpy.ndarray"), {"round": 1, "analyzers": EVERYONE}
    )
    failure = client.fit(properties).metrics["failure"]
    assert (b"Maria" in failure) is (shared and share != "true")


def test_evaluation_and_hello_keep_their_errors_too(deployed, tmp_path, context):
    class Scores(leaking(lambda self, data, result: 1, raise_text)):
        pass

    with LocalGrid(plan(Scores), [[{"a": b"1"}]]) as grid:
        assert train(grid, 1) == 1
        content = {
            "evaluateins.parameters": to_record(encode(None)),
            "evaluateins.config": ConfigRecord({"round": 1}),
        }
        reply = ask(grid, "evaluate", content)
    assert b"Maria" not in wire(reply.content)
    assert b"failure" in wire(reply.content)

    client = StarClient(plan(), context({"data": f"{tmp_path}/Maria Muster"})).to_client()
    said = client.get_properties(checked_client.GetPropertiesIns({})).properties
    assert b"Maria" not in said["failure"]
    assert b"the data folder does not exist" in said["failure"]


def test_a_subclasss_own_error_is_kept_too(deployed):
    class Own(StarClient):
        def fit(self, parameters, config):
            super().fit(parameters, config)
            raise OSError(SECRET)

    with LocalGrid(plan(data_type="none"), [None], Own) as grid:
        failure = train(grid, 1)
    assert failure.type == "OSError"
    assert failure.text == ""


@pytest.mark.parametrize("path", ["Maria Muster.json", "/nowhere/Maria Muster.json"])
def test_a_relative_path_is_explained_and_stays_on_the_node(deployed, path):
    def reads(self, data, result):
        return open(path)

    with LocalGrid(plan(leaking(reads), "none"), [None]) as grid:
        failure = train(grid, 1)
    assert failure.type == "FileNotFoundError"
    assert "Maria" not in str(failure)
    assert ("it opens a relative path, and under Flower" in failure.text) is (path[0] != "/")


@pytest.mark.parametrize("code", [0, None, "bye", 3])
def test_sys_exit_is_a_failure_and_not_the_end_of_the_node(code):
    def exits(self, data, result):
        sys.exit(code)

    with LocalGrid(plan(leaking(exits), "none"), [None]) as grid:
        failure = train(grid, 1)
        assert failure.type == "SystemExit"
        assert "in exits" in failure.place
        assert "user code called sys.exit; return a value or raise an error" in failure.text
        assert train(grid, 1).type == "SystemExit"


def test_ctrl_c_is_not_taken_for_a_failure():
    def interrupted(self, data, result):
        raise KeyboardInterrupt

    with (
        LocalGrid(plan(leaking(interrupted), "none"), [None]) as grid,
        pytest.raises(KeyboardInterrupt),
    ):
        train(grid, 1)


def test_an_error_whose_own_text_raises_is_a_failure_like_any_other():
    class BadTextError(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    def raises(self, data, result):
        raise BadTextError

    with LocalGrid(plan(leaking(raises), "none"), [None]) as grid:
        assert train(grid, 1).type == "BadTextError"


def test_the_nodes_own_log_has_the_whole_error(deployed, caplog):
    failing_reply(raise_text)
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "failed in round 1" in record.getMessage()
    assert SECRET in caplog.text


# ---- hostile bytes --------------------------------------------------------------------------


def forged(shape, dtype="<f8", body=b""):
    """Return .npy bytes whose header claims much and whose body has little."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + body


FIFTEEN_GB = forged((15 * 2**30 // 8,))
HOSTILE = {
    "a header of 15 GB": [FIFTEEN_GB],
    "15 GB behind a good header": [*map(npy_bytes, to_arrays(encode(1))), FIFTEEN_GB],
    "a product that overflows": [forged((2**62, 2**62))],
    "negative sizes": [forged((-1,))],
    "a pickle": [forged((1,), "|O", b"cos\nsystem\n(S'true'\ntR.")],
    "a long header": [b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b"{" * 1000],
    "nothing": [b""],
    "text": [b"not an array at all"],
    "no header array": [npy_bytes(np.zeros(3))],
    "no arrays": [],
    "a million brackets": [npy_bytes(np.frombuffer(b"\x91" * 10**6, np.uint8))],
}


@pytest.mark.parametrize("tensors", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_a_failure_and_allocate_nothing(tensors, deployed):
    arrays = {
        str(i): Array(dtype="float64", shape=(1,), stype="numpy.ndarray", data=data)
        for i, data in enumerate(tensors)
    }
    with LocalGrid(plan(data_type="none"), [None]) as grid:
        train(grid, 1)
        content = {
            "fitins.parameters": ArrayRecord(arrays),
            "fitins.config": ConfigRecord({"round": 2}),
        }
        tracemalloc.start()
        try:
            reply = ask(grid, "train", content)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        failure = Failure.from_json(reply.content["fitres.metrics"]["failure"])
        assert failure.type == PayloadError.__name__
        assert peak < 32 * 2**20
        assert train(grid, 2, 5)["aggregate"] == 5


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"round": "two"},
        {"round": 1, "analyzers": "{"},
        {"round": 1, "analyzers": 3},
        {"round": 2},
    ],
)
def test_a_hostile_config_is_a_failure(config):
    with LocalGrid(plan(data_type="none"), [None]) as grid:
        content = {
            "fitins.parameters": to_record(encode(None)),
            "fitins.config": ConfigRecord(config),
        }
        reply = ask(grid, "train", content)
    assert "failure" in reply.content["fitres.metrics"]


# ---- working directory ----------------------------------------------------------------------


class Writes(StarAnalyzer):
    """Careless: writes where it stands."""

    def analysis_method(self, data, aggregator_results):
        before = sorted(os.listdir())
        Path("plots").mkdir()
        Path("plots/a.png").write_text(SECRET)
        Path("b.csv").write_text(SECRET)
        Path("link").symlink_to("/etc")
        return {"before": before, "where": os.getcwd(), "mode": os.stat(".").st_mode & 0o777}


def test_relative_files_of_user_code_land_in_a_scratch_folder_and_are_gone(
    deployed, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with LocalGrid(plan(Writes, "none"), [None]) as grid:
        for number in (1, 2):
            said = train(grid, number, 0)
            assert said["before"] == []
            assert said["where"] != str(tmp_path)
            assert said["mode"] == 0o700
            assert Path.cwd() == tmp_path
            assert list(tmp_path.iterdir()) == []
            left = Path(said["where"])
            assert not left.exists() or list(left.iterdir()) == []
    assert Path("/etc/hostname").exists()


def test_the_scratch_folder_is_emptied_also_after_a_failure(deployed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []

    def writes_and_raises(self, data, result):
        Path("a.csv").write_text(SECRET)
        seen.append(Path.cwd())
        raise ValueError

    with LocalGrid(plan(leaking(writes_and_raises), "none"), [None]) as grid:
        assert train(grid, 1).type == "ValueError"
    assert Path.cwd() == tmp_path
    assert not (seen[0] / "a.csv").exists()


def test_user_code_that_removes_its_working_directory_gets_its_answer_through(
    deployed, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    def removes(self, data, result):
        os.rmdir(os.getcwd())
        return 5

    with LocalGrid(plan(leaking(removes), "none"), [None]) as grid:
        assert train(grid, 1) == 5
        assert train(grid, 2) == 5
    assert Path.cwd() == tmp_path


def test_in_this_process_user_code_keeps_the_callers_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with LocalGrid(plan(Writes, "none"), [None]) as grid:
        assert train(grid, 1)["where"] == str(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.csv", "link", "plots"]


def test_a_process_leaves_nothing_in_the_folder_for_temporary_files(tmp_path):
    """On a deployment every message is a process: an empty folder each would fill the disk."""
    (tmp_path / "own.py").write_text(
        textwrap.dedent("""
        from flwr.app import Context, RecordDict
        from flame_flwr.clients import NodePlan, StarClient
        from flame_flwr.flower import GetPropertiesIns
        from flame_flwr.star import StarAnalyzer

        class Analyzer(StarAnalyzer):
            def analysis_method(self, data, aggregator_results):
                return 1

        context = Context(
            run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={}
        )
        client = StarClient(NodePlan(Analyzer), context).to_client()
        print(client.get_properties(GetPropertiesIns({})).properties)
        """)
    )
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, str(tmp_path / "own.py")],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "FLWR_HOME": str(tmp_path / "flwr")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "'wire'" in done.stdout, done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []
