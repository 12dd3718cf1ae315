"""Scores of the node's samples and of test data."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flame_flwr.aggregation import MaxRounds  # noqa: E402
from flame_flwr.errors import DataError, ModelError  # noqa: E402
from flame_flwr.strategies import WeightedFedAvg  # noqa: E402
from flame_flwr.torch import state_dict  # noqa: E402

from .networks import SPLITS, Net, data, network, odd, run  # noqa: E402


class Scored(Net):
    def score(self, batch):
        x, y = batch
        return {"error": (self.net(x)[:, 0] - y).abs().mean()}

    def test_dataset(self, data):
        return torch.utils.data.TensorDataset(*map(torch.tensor, (data[0][:5], data[1][:5])))

    def evaluation_method(self, data, result):
        return self.evaluate(result["model"], data)


def test_scores_are_means_over_the_samples():
    metrics = ["error", "test_error", "test_loss", "n_test"]
    tester = run(Scored, strategy=WeightedFedAvg(metrics=metrics, convergence=MaxRounds(1)))
    assert tester.result["n_test"] == 5
    model = network().eval()
    torch.manual_seed(0)
    fresh = network().eval()
    model.load_state_dict(state_dict(tester.result["model"]))
    with torch.no_grad():
        first = [(fresh(torch.tensor(x[:5]))[:, 0].numpy(), y[:5]) for x, y in SPLITS]
        last = [(model(torch.tensor(x))[:, 0].numpy(), y) for x, y in SPLITS]
    errors = [np.mean(np.abs(found - y)) for found, y in first]
    assert tester.result["test_error"] == pytest.approx(np.mean(errors))  # five rows each
    squares = [np.mean((found - y) ** 2) for found, y in first]
    assert tester.result["test_loss"] == pytest.approx(np.mean(squares))
    for (found, y), scores in zip(last, tester.evaluations.values(), strict=True):
        assert scores["n"] == len(y)
        assert scores["loss"] == pytest.approx(np.mean((found - y) ** 2), rel=1e-5)
        assert scores["error"] == pytest.approx(np.mean(np.abs(found - y)), rel=1e-5)


@pytest.mark.parametrize("none", [None, "node-2"])
def test_scores_of_test_data_are_pooled(none):
    class Kept(Scored):
        def dataset(self, data):
            rows = slice(24) if self.id == "node-0" else slice(2)
            return data[0][rows], data[1][rows]

        def test_dataset(self, data):
            if self.id == none:
                return None
            rows = slice(24, 26) if self.id == "node-0" else slice(2, 30)
            return data[0][rows], data[1][rows]

    splits = [data(1, 32), data(2, 30), data(3, 30)]
    metrics = ["loss", "test_error", "test_loss"]
    strategy = WeightedFedAvg(metrics=metrics, convergence=MaxRounds(1))
    tester = run(Kept, splits=splits, strategy=strategy)
    torch.manual_seed(0)
    fresh = network().eval()
    rows = [(split[0][24:26], split[1][24:26]) for split in splits[:1]]
    rows += [(split[0][2:30], split[1][2:30]) for split in splits[1 : 2 if none else 3]]
    x, y = (np.concatenate(part) for part in zip(*rows, strict=True))
    with torch.no_grad():
        misses = fresh(torch.tensor(x))[:, 0].numpy() - y
    assert tester.result["test_error"] == pytest.approx(np.mean(np.abs(misses)), rel=1e-5)
    assert tester.result["test_loss"] == pytest.approx(np.mean(misses**2), rel=1e-5)
    assert tester.history[0].metrics["test_loss"] == tester.result["test_loss"]


@pytest.mark.parametrize(
    "name", ["model", "local_n_samples", "loss", "n", "n_test", "test_loss", "test_error"]
)
def test_a_score_cannot_have_a_reserved_name(name):
    class Odd(Scored):
        def score(self, batch):
            return {name: 1.0}

    with pytest.raises(ModelError, match=rf"Odd.score: '{name}' is a name that the base uses"):
        run(Odd)


@pytest.mark.parametrize(
    ("score", "error", "says"),
    [
        ({"auc": float("nan")}, DataError, r"'auc' is not finite: leave it out"),
        ({"auc": float("inf")}, DataError, r"'auc' is not finite: leave it out"),
        ({"error": torch.zeros(8, 1)}, ModelError, "Odd.score: 'error' must be one number"),
        (0.9, ModelError, "Odd.score must return numbers by name, such as"),
        (None, ModelError, "Odd.score must return numbers by name, such as"),
    ],
)
def test_what_is_no_score_is_refused(score, error, says):
    with pytest.raises(error, match=says) as caught:
        run(odd(score=lambda self, batch: score if self.id == "node-1" else {}))
    assert "in node-1, round 1" in caught.value.__notes__[0]


def test_a_score_left_out_counts_no_samples():
    class Some(Net):
        def score(self, batch):
            return {"rows": len(batch[0])} if len(batch[0]) == 8 else {}

        def evaluation_method(self, data, result):
            return self.evaluate(result["model"], (data[0][:20], data[1][:20]))

    scores = run(Some, rounds=1).evaluations["node-0"]
    assert (scores["n"], scores["rows"]) == (20, 8)
