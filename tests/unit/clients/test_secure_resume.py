"""A masked run that goes on from its checkpoint, with what hospitals have on their disks."""

import json

import pytest

from flame_flwr.aggregation import MaxRounds, Sum
from flame_flwr.clients import NodePlan, secure_gate
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import NodeFailedError
from flame_flwr.privacy.secure.identities import SecretIdentity
from flame_flwr.results.checkpoint import Checkpoint
from flame_flwr.star import StarAnalyzer
from flame_flwr.strategies import ReduceStrategy

NAMES = ("node-a", "node-b", "node-c")


class Counts(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        self.seen = getattr(self, "seen", 0) + 1
        return {"x": data, "seen": self.seen}


@pytest.fixture
def run(tmp_path, deployed, monkeypatch):
    """Run up to a round, each time with new SuperNodes; return the aggregate."""
    monkeypatch.setattr(secure_gate, "app_files", lambda: {"app.py": b"pass\n"})
    # a LocalGrid hands messages over as they are
    monkeypatch.setattr("flame_flwr.clients.reply_gate.runtime", lambda: "process")
    keys = {name: SecretIdentity.make(tmp_path / f"{name}.key").public.hex() for name in NAMES}
    lines = [f"{name} = {json.dumps(key)}\n" for name, key in keys.items()]
    (tmp_path / "peers.toml").write_text("[peers]\n" + "".join(lines))
    runs = iter(range(1, 100))

    def run(most, **changed):
        place, number = str(tmp_path / "kept"), next(runs)
        config = {"nodes": ",".join(NAMES), "on-failure": "wait"}
        config |= {"checkpoint": place, "resume": number > 1}
        strategy = ReduceStrategy(
            {"x": Sum(), "seen": Sum()}, convergence=MaxRounds(9), secure=True
        )
        plan = NodePlan(Counts, data_type="s3", secure=True)
        with LocalGrid(plan, [1.5, 2.0, -4.25]) as grid:
            for name, context in zip(NAMES, grid.contexts.values(), strict=True):
                own = {"name": name, "identity-key": str(tmp_path / f"{name}.key")}
                own |= {"peers": str(tmp_path / "peers.toml"), "state-dir": str(tmp_path / name)}
                context.run_id, context.node_config = (
                    number,
                    {**own, "secure": "require", **changed},
                )
            result = strategy.start(
                grid,
                num_rounds=most,
                settings=RunSettings.from_config(config),
                checkpoint=Checkpoint(place, strategy.about()),
            )
        return result.record.aggregate

    return run


def state_of(folder, name):
    [file] = (folder / name).glob("secure-sums/*/*/secure.state")
    return file


def test_a_run_goes_on_in_its_session(run):
    for most in (1, 2, 4):
        assert run(most) == {"x": -0.75, "seen": 3 * most}


@pytest.mark.parametrize("damage", ["lost", "damaged"])
def test_hospital_without_its_file_says_so(run, tmp_path, damage):
    run(2)
    file = state_of(tmp_path, "node-b")
    kept = file.read_bytes()
    if damage == "lost":
        file.unlink()
    else:
        file.write_bytes(kept[:-1])
    said = f"node-b: .* this node's file of the session is {damage}, which ends it"
    with pytest.raises(NodeFailedError, match=said):
        run(3)
    file.write_bytes(kept)
    assert run(3) == {"x": -0.75, "seen": 9}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"secure-min-nodes": 4}, "3 nodes take part, and the fewest are 4"),
        ({"secure-with": "node-a, node-b"}, "others take part than `secure-with`"),
    ],
)
def test_a_hospitals_config_holds_after_a_resume(run, changed, why):
    run(1)
    with pytest.raises(NodeFailedError, match=why):
        run(2, **changed)
    assert run(2) == {"x": -0.75, "seen": 6}


def test_other_peers_than_at_the_beginning_are_refused(run, tmp_path):
    run(1)
    peers = tmp_path / "peers.toml"
    before = peers.read_text()
    stranger = SecretIdentity.new().public.hex()
    peers.write_text(before.replace(before.split('"')[3], stranger))
    with pytest.raises(NodeFailedError, match="node-b is not known here with that identity"):
        run(2)
    peers.write_text(before)
    assert run(2) == {"x": -0.75, "seen": 6}
