"""A `live.json` is read as a stranger's: torn, missing, of another version, or meant to do harm."""

import json
import math

import pytest

from flame_flwr.errors import StoreError
from flame_flwr.results.live_file import LIVE, is_live
from flame_flwr.watch.parsed_runs import parse_live, parse_record

NODE = {"name": "a", "state": "computing", "seen": 12.5, "seconds": 1, "metrics": {"loss": "nan"}}
ROUND = {
    "round": 1,
    "seconds": 0.5,
    "answered": 2,
    "failed": 0,
    "change": None,
    "metrics": {"auc": [0.5, "n"]},
}
WHOLE = {
    "live": 1,
    "written": 1000.5,
    "beat": 5,
    "doing": "round",
    "round": 2,
    "rounds": 1,
    "most": 10,
    "nodes": [NODE],
    "failures": [{"round": 1, "node": "b", "why": "timeout"}],
    "history": [ROUND],
}


def encoded(**changes):
    return json.dumps(WHOLE | changes).encode()


def test_it_has_the_types_that_it_says():
    run = parse_live(encoded())
    assert (run.written, run.doing, run.round, run.rounds, run.most) == (1000.5, "round", 2, 1, 10)
    (node,) = run.nodes
    assert (node.name, node.state, node.seen, node.seconds) == ("a", "computing", 12.5, 1.0)
    assert math.isnan(node.metrics["loss"])
    assert run.history[0].metrics == {"auc": (0.5, "n")}
    assert run.failures == ((1, "b", "timeout"),)


@pytest.mark.parametrize("cut", [0, 1, 20, len(encoded()) - 1])
def test_a_torn_file_is_said(cut):
    with pytest.raises(StoreError, match=r"live\.json is torn"):
        parse_live(encoded()[:cut])


@pytest.mark.parametrize("version", [0, 2, "1", None, True, [1], "x" * 10**6])
def test_another_version_is_said(version):
    with pytest.raises(StoreError, match=r"of version .*, and this is one for 1") as caught:
        parse_live(encoded(live=version))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "changes",
    [
        {"written": "now"},
        {"written": math.inf},
        {"written": True},
        {"beat": None},
        {"beat": 10**400},
        {"doing": "harm"},
        {"doing": []},
        {"round": -1},
        {"round": 1.5},
        {"rounds": 10**30},
        {"most": "many"},
        {"study": []},
        {"study": {"a": {"b": "c"}}},
        {"app": 7},
        {"nodes": {}},
        {"nodes": ["a"]},
        {"nodes": [{"name": "a"}]},
        {"nodes": [NODE | {"state": "odd"}]},
        {"nodes": [NODE | {"name": ["a"]}]},
        {"nodes": [NODE | {"metrics": [1]}]},
        {"nodes": [NODE | {"metrics": {"loss": "1e5"}}]},
        {"history": [ROUND | {"metrics": {"auc": 0.5}}]},
        {"history": [ROUND | {"metrics": {"auc": [0.5, 1]}}]},
        {"history": [ROUND | {"seconds": None}]},
        {"failures": [{"round": 1, "node": "b"}]},
    ],
)
def test_whatever_is_odd_is_damage(changes):
    with pytest.raises(StoreError, match=r"live\.json is damaged"):
        parse_live(encoded(**changes))


@pytest.mark.parametrize("content", [b"[" * 10**5, b"[]", b"7", b"\xff\xfe", b" " * (9 * 2**20)])
def test_what_is_no_object_is_none(content):
    with pytest.raises(StoreError, match=r"live\.json"):
        parse_live(content)


def test_there_are_limits_on_what_is_taken():
    nodes = [NODE | {"name": "x" * 10_000, "metrics": {f"m{i}": 1 for i in range(100)}}]
    run = parse_live(encoded(nodes=nodes, beat=1e9))
    assert len(run.nodes[0].name) == 5000
    assert len(run.nodes[0].metrics) == 8
    assert run.beat == 3600.0
    record = parse_record(json.dumps({"heading": {"title": "x" * 10_000}}).encode())
    assert len(record.heading.title) == 5000


def test_it_is_known_by_its_words(tmp_path):
    path = tmp_path / LIVE
    assert not is_live(path)
    others = (b"{}", b"torn", b'{"live": 1}')
    for content, known in (*((other, False) for other in others), (encoded(live=2), True)):
        path.write_bytes(content)
        assert is_live(path) is known
