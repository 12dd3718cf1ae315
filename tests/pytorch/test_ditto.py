"""Ditto: personal models as a plain loop has them, which stay where they are."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flame_flwr.aggregation import MaxRounds  # noqa: E402
from flame_flwr.clients import NodePlan  # noqa: E402
from flame_flwr.clients.local_grid import LocalGrid  # noqa: E402
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester  # noqa: E402
from flame_flwr.strategies import CyclicTraining, Scaffold, WeightedFedAvg  # noqa: E402
from flame_flwr.torch import Ditto  # noqa: E402

from .networks import SPLITS, data, network, run  # noqa: E402
from .plain_algorithms import fedavg, first, local, one_thread, scaffold, whole  # noqa: E402
from .plain_loop import mean  # noqa: E402
from .test_drift import Corrected, start  # noqa: E402
from .test_proximal import Steps, same  # noqa: E402

HELD = data(9, 12)


class Personal(Ditto, Steps):
    lam = 0.5


class HeldBack(Personal):
    def test_dataset(self, data):
        return HELD


def plain(rounds, lam=0.5, away=()):
    """Li et al., ICML 2021, algorithm 1; return the personal models and the last losses."""
    with one_thread():
        common = first()
        personal, losses = [common] * 2, [0.0] * 2
        for number in range(1, rounds + 1):
            states, rows = [], []
            for node, split in enumerate(SPLITS):
                if (number, node) in away:
                    continue
                states.append(local(common, split, number)[0])
                rows.append(len(split[1]))
                personal[node], _, losses[node] = local(
                    personal[node], split, number, mu=lam, towards=common
                )
            common = whole(mean(states, rows)[0])
    return personal, losses


pytestmark = pytest.mark.usefixtures("nothing_kept")


class Kept(StarAnalyzer):
    """A later analysis that finds what Ditto has kept."""

    def analysis_method(self, data, aggregator_results):
        kept = self.flame.get_intermediate_data("local", tag="personal-model", tag_option="all")
        return self.flame.get_local_tags(), kept


class All(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return True


def kept():
    return StarModelTester(SPLITS, Kept, All, "s3", quiet=True).result


def test_personal_models_are_the_papers():
    strategy = WeightedFedAvg(metrics=["loss", "personal_loss"], convergence=MaxRounds(3))
    tester = run(Personal, strategy=strategy)
    same(tester.result["model"], fedavg(3))
    personal, losses = plain(3)
    for node, (tags, models) in enumerate(kept()):
        assert tags == ["personal-model"]
        assert len(models) == 1
        same(models[0], personal[node])
    metrics = tester.record.history[-1].node_metrics
    for node, loss in enumerate(losses):
        assert metrics[f"node-{node}"]["personal_loss"] == pytest.approx(loss, rel=1e-6)
    assert tester.result["personal_loss"] == pytest.approx(
        np.average(losses, weights=[40, 24]), rel=1e-6
    )


def loss_on(state, split):
    net = network()
    net.load_state_dict(state)
    net.eval()
    with torch.no_grad():
        x, y = map(torch.tensor, split)
        return float(torch.nn.functional.mse_loss(net(x)[:, 0], y))


def tensors(arrays):
    return {name: torch.tensor(array) for name, array in arrays.items()}


@pytest.mark.parametrize(("analyzer", "n"), [(HeldBack, [12, 12]), (Personal, [40, 24])])
def test_both_models_are_scored_in_the_end(analyzer, n):
    tester = run(analyzer)
    common = tensors(tester.result["model"])
    models = list(kept())
    assert len(models) == len(n)
    for node, (_, [personal]) in enumerate(models):
        scores = tester.evaluations[f"node-{node}"]
        assert list(scores) == ["n", "common_loss", "personal_loss"]
        samples = HELD if analyzer is HeldBack else SPLITS[node]
        expected = loss_on(common, samples), loss_on(tensors(personal), samples)
        assert (scores["common_loss"], scores["personal_loss"]) == pytest.approx(expected, rel=1e-5)
        assert scores["n"] == n[node]
        if analyzer is HeldBack:
            told = tester.record.history[-1].node_metrics[f"node-{node}"]
            assert told["test_personal_loss"] == scores["personal_loss"]


def test_only_the_common_model_travels():
    seen = []

    class Watched(Personal):
        def analysis_method(self, data, aggregator_results):
            seen.append(super().analysis_method(data, aggregator_results))
            return seen[-1]

    with LocalGrid(NodePlan(Watched, data_type="s3"), SPLITS) as grid:
        record = start(WeightedFedAvg, grid, 2)
    arrays = {key for answer in seen for key, value in answer.items() if isinstance(value, dict)}
    assert arrays == {"model"}
    plainly = run(Steps, rounds=2).record.history[-1].node_bytes["node-0"]
    assert record.history[-1].node_bytes["node-0"] - plainly < 200  # names of scores, and numbers


def test_a_skipped_round_counts_for_neither_model():
    class Away(Personal):
        def analysis_method(self, data, aggregator_results):
            answer = super().analysis_method(data, aggregator_results)
            if (self.id, self.num_iterations) == ("node-1", 1):
                raise RuntimeError("away")
            return answer

        def evaluation_method(self, data, result):
            return {"sum": float(sum(np.sum(a, dtype=float) for a in self.personal.values()))}

    with LocalGrid(NodePlan(Away, data_type="s3"), SPLITS) as grid:
        config = {"on-failure": "skip", "min-nodes": 1}
        record = start(WeightedFedAvg, grid, 3, **config)
    for node, state in enumerate(plain(3, away=[(2, 1)])[0]):
        total = sum(np.sum(value.numpy(), dtype=float) for value in state.values())
        assert record.evaluations[f"node-{node}"]["sum"] == total


def test_any_strategy_goes_and_optimisers_are_apart():
    class Moving(Personal):
        keep_optimizer = True

        def optimizer(self, parameters):
            return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)

    one = run(Moving, lam=0.0, splits=SPLITS[:1])
    two = run(type("Alone", (Moving,), {"lam": 3.0}), splits=SPLITS[:1])
    assert one.result["model"]["0.weight"].tobytes() == two.result["model"]["0.weight"].tobytes()
    assert one.evaluations["node-0"]["personal_loss"] == one.evaluations["node-0"]["common_loss"]

    strategy = Scaffold(convergence=MaxRounds(2))
    drifting = type("Drifting", (Ditto, Corrected), {})
    same(run(drifting, strategy=strategy).result["model"], scaffold(2)[0])
    assert run(Personal, strategy=CyclicTraining(rounds=2)).evaluations["node-1"]["personal_loss"]
