"""``flame.save_intermediate_data`` and its kin, as user code sees them."""

import re

import numpy as np
import pytest

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.data import clear_local_storage, open_kept_values
from flame_flwr.errors import ConfigError, DataError, FlameError, ModelError, UnavailableError
from flame_flwr.identity import Identity
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
from flame_flwr.star.handle import FlameHandle
from flame_flwr.strategies import StarStrategy

NODES = ("node-0", "node-1")


pytestmark = pytest.mark.usefixtures("nothing_kept")


@pytest.fixture(params=["memory", "folder"])
def flame(request, tmp_path):
    store = None
    if request.param == "folder":
        store = open_kept_values(str(tmp_path), "cohort", "node-1", where="")
    return FlameHandle(Identity("node-1", NODES, "study", "cohort"), kept=store)


# ---- the calls ------------------------------------------------------------------------------


def test_saving_answers_as_the_reference_does(flame):
    answer = flame.save_intermediate_data([1, 2], "local", tag="features-v1")
    assert set(answer) == {"status", "url", "id"}
    assert answer["status"] == "success"
    assert answer["url"].split("/")[-1] == answer["id"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer["id"])


def test_an_id_gets_its_value_in_all_spellings(flame):
    key = flame.save_intermediate_data(data={"n": 1}, location="local")["id"]
    assert flame.get_intermediate_data("local", key) == {"n": 1}
    assert flame.get_intermediate_data(location="local", id=key) == {"n": 1}
    assert flame.get_intermediate_data(location="local", query=key) == {"n": 1}
    assert flame.get_intermediate_data("local", key, sender_node_id="node-1") == {"n": 1}
    assert flame.get_local_tags() == []


def test_a_tag_gets_a_list_or_one(flame):
    for tag in ("7", "a--b", "x" * 32, "0123456789-abcdefghij-0123456789"):  # may be
        flame.save_intermediate_data(1, "local", tag=tag)
        assert flame.get_intermediate_data("local", tag=tag) == [1]
    for value in (1, None, 3):
        flame.save_intermediate_data(value, "local", None, "a-1")
    assert flame.get_intermediate_data("local", tag="a-1") == [1, None, 3]
    assert flame.get_intermediate_data("local", tag="a-1", tag_option=None) == [1, None, 3]
    assert flame.get_intermediate_data("local", tag="a-1", tag_option="first") == 1
    assert flame.get_intermediate_data("local", tag="a-1", tag_option="last") == 3
    assert flame.get_intermediate_data("local", None, None, "a-1", "last", None) == 3
    assert flame.get_intermediate_data("local", tag="unknown") == []
    with pytest.raises(DataError, match="keeps nothing under this id"):
        flame.get_intermediate_data("local", "0000")
    with pytest.raises(DataError, match="get_local_tags"):
        flame.get_intermediate_data("local", tag="unknown", tag_option="last")


def test_a_tag_counts_before_an_id(flame):
    key = flame.save_intermediate_data(1, "local")["id"]
    flame.save_intermediate_data(2, "local", tag="a")
    assert flame.get_intermediate_data("local", id=key, tag="a") == [2]


def test_tags_are_listed_once_and_filtered(flame):
    for tag in ("model-1", "features", "model-2", "model-1"):
        flame.save_intermediate_data(0, "local", tag=tag)
    assert flame.get_local_tags() == ["model-1", "features", "model-2"]
    assert flame.get_local_tags("model") == ["model-1", "model-2"]
    assert flame.get_local_tags(filter="odel-") == ["model-1", "model-2"]
    assert flame.get_local_tags("zzz") == []


@pytest.mark.parametrize(
    "tag", ["", "A", "a_b", "a b", "a.b", "ä", "x" * 33, "a\n", "../a", 3, ["a"]]
)
def test_a_wrong_tag_is_refused(flame, tag):
    for call in (
        lambda: flame.save_intermediate_data(1, "local", tag=tag),
        lambda: flame.get_intermediate_data("local", tag=tag),
    ):
        with pytest.raises(ModelError, match="1 to 32 lowercase letters, digits and hyphens") as e:
            call()
        assert e.value.detail == repr(tag)
    assert flame.get_local_tags() == []


@pytest.mark.parametrize(
    "call",
    [
        lambda flame: flame.save_intermediate_data(1, "global"),
        lambda flame: flame.save_intermediate_data(1, "global", ["node-0"]),
        lambda flame: flame.save_intermediate_data(1, "local", ["node-0"]),
        lambda flame: flame.get_intermediate_data("global", "some-id"),
        lambda flame: flame.get_intermediate_data("local", "some-id", sender_node_id="node-0"),
    ],
)
def test_what_would_leave_the_node_names_the_way(flame, call):
    with pytest.raises(UnavailableError) as raised:
        call(flame)
    assert "return the value from analysis_method" in raised.value.message


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda flame: flame.save_intermediate_data(1, "here"), "location is 'local'"),
        (lambda flame: flame.get_intermediate_data("Local", tag="a"), "location is 'local'"),
        (lambda flame: flame.get_intermediate_data("local"), "needs a tag, or the id"),
        (
            lambda flame: flame.get_intermediate_data("local", tag="a", tag_option="newest"),
            "tag_option is 'all', 'first' or 'last'",
        ),
    ],
)
def test_a_wrong_argument_is_refused(flame, call, message):
    with pytest.raises(ModelError) as raised:
        call(flame)
    assert message in raised.value.message


# ---- in one process -------------------------------------------------------------------------


class Remember(StarAnalyzer):
    """Keeps its split; returns what this node has kept so far, of this and earlier analyses."""

    def analysis_method(self, data, aggregator_results):
        self.flame.save_intermediate_data(np.array([data]), "local", tag="data")
        kept = self.flame.get_intermediate_data("local", tag="data")
        return [int(value) for array in kept for value in array]


class Collect(StarAggregator):
    def __init__(self, flame):
        super().__init__(flame)
        self.before = flame.get_local_tags()

    def aggregation_method(self, analysis_results):
        self.flame.save_intermediate_data(len(analysis_results), "local", tag="of-aggregator")
        return [analysis_results, self.before, self.flame.get_local_tags()]

    def has_converged(self, result, last_result):
        return True


def test_nodes_keep_data_apart_across_analyses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = StarModelTester([1, 2], Remember, Collect, "s3").result
    second = StarModelTester([3, 4], Remember, Collect, "s3").result
    assert first == [[[1], [2]], [], ["of-aggregator"]]
    assert second == [[[1, 3], [2, 4]], ["of-aggregator"], ["of-aggregator"]]
    clear_local_storage()
    third = StarModelTester([5, 6], Remember, Collect, "s3").result
    assert third == [[[5], [6]], [], ["of-aggregator"]]
    assert not any(tmp_path.iterdir())  # all of it was in memory


class WithMessages(StarStrategy):
    """Overrides a Message method, so that a local test runs over a Grid in this process."""

    def aggregate_train(self, server_round, replies):
        return super().aggregate_train(server_round, replies)


def test_real_messages_keep_the_same_data():
    strategy = WithMessages(Collect)
    assert StarModelTester([1, 2], Remember, strategy, "s3").result[0] == [[1], [2]]
    assert StarModelTester([3, 4], Remember, strategy, "s3").result == [
        [[1, 3], [2, 4]],
        ["of-aggregator"],
        ["of-aggregator"],
    ]


# ---- the aggregator on Flower ---------------------------------------------------------------


def served(tmp_path, monkeypatch, **config):
    """Run over a Grid as a ServerApp does; nodes answer in this process."""
    import flame_flwr.strategies.start_run as server

    monkeypatch.setattr(server, "runtime", lambda: "deployment")
    settings = RunSettings.from_config({"project-id": "cohort", **config})
    with LocalGrid(NodePlan(Remember, data_type="s3"), [1, 2]) as grid:
        return StarStrategy(Collect).start(grid, settings=settings).record.result


def test_an_aggregator_keeps_data_in_its_state_dir(tmp_path, monkeypatch):
    before = served(tmp_path, monkeypatch, **{"state-dir": str(tmp_path / "s")})
    after = served(tmp_path, monkeypatch, **{"state-dir": str(tmp_path / "s")})
    assert (before[1], after[1]) == ([], ["of-aggregator"])
    assert (tmp_path / "s" / "local-storage" / "cohort" / "aggregator").is_dir()
    of_node = open_kept_values(str(tmp_path / "s"), "cohort", "node-0", where="")
    assert of_node.tags() == []


def test_without_it_the_error_names_the_key(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="set `state-dir` in the run config"):
        served(tmp_path, monkeypatch)


def test_a_handle_that_keeps_nothing_needs_no_folder(tmp_path):
    store = open_kept_values("", "p", "n", where="this node's config")
    flame = FlameHandle(Identity("node-1", NODES), kept=store)
    flame.flame_log("fine")
    with pytest.raises(FlameError, match="set `state-dir` in this node's config"):
        flame.get_local_tags()
