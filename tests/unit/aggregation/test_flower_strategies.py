"""Flower's strategies over the arrays of a payload, against their formulas in plain NumPy."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from flwr.serverapp import strategy as strategies
from flwr.serverapp.strategy import (
    Bulyan,
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedMedian,
    FedProx,
    FedTrimmedAvg,
    FedYogi,
    Krum,
    MultiKrum,
    QFedAvg,
    Strategy,
)

from flame_flwr.aggregation import FlowerReduction, MaxRounds
from flame_flwr.aggregation.flower_supported import TRIED
from flame_flwr.errors import DataError, ModelError
from flame_flwr.privacy import Clip, GaussianNoise
from flame_flwr.star import StarAnalyzer, StarModelTester
from flame_flwr.strategies import WeightedFedAvg

SITES = [
    (np.array([[1.0, -2.0]]), 0.5, 30),
    (np.array([[4.0, 0.0]]), -1.0, 5),
    (np.array([[-3.0, 7.0]]), 2.0, 12),
    (np.array([[2.0, 1.0]]), 0.0, 44),
]
"""Where each node pulls the coefficients and the intercept, and how many rows it has."""

START = {"coef": np.zeros((1, 2)), "intercept": 0.0}


class Pull(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        coef, intercept, n = data
        at = START if aggregator_results is None else aggregator_results["model"]
        model = {
            "coef": at["coef"] + 0.5 * (coef - at["coef"]),
            "intercept": at["intercept"] + 0.5 * (intercept - at["intercept"]),
        }
        return {"model": model, "local_n_samples": n}


def flat(model):
    return np.append(model["coef"].ravel(), model["intercept"])


def run(server, rounds, initial=True, analyzer=Pull, **more):
    strategy = WeightedFedAvg(
        server=server,
        convergence=MaxRounds(rounds),
        initial={"model": START} if initial else None,
        **more,
    )
    return flat(StarModelTester(SITES, analyzer, strategy, "s3").result["model"])


TARGETS = np.array([np.append(coef.ravel(), intercept) for coef, intercept, _ in SITES])
WEIGHTS = np.array([n for _, _, n in SITES])


def loop(step, rounds, at=None):
    """Run the rounds in NumPy; `step` gets the round, the model and the nodes' models."""
    at = np.zeros(3) if at is None else at
    for number in range(1, rounds + 1):
        at = step(number, at, at + 0.5 * (TARGETS - at))
    return at


def mean(models):
    return np.average(models, axis=0, weights=WEIGHTS)


class Optimizer:
    """Reddi et al., "Adaptive Federated Optimization", ICLR 2021, algorithm 2."""

    def __init__(self, kind, eta, beta_1=0.0, beta_2=0.0, tau=1e-3):
        self.kind, self.eta, self.tau = kind, eta, tau
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.m, self.v = np.zeros(3), np.zeros(3)

    def __call__(self, number, at, models):
        delta, eta = mean(models) - at, self.eta
        self.m = self.beta_1 * self.m + (1 - self.beta_1) * delta
        if self.kind == "adagrad":
            self.v = self.v + delta**2
        elif self.kind == "yogi":
            self.v = self.v - (1 - self.beta_2) * delta**2 * np.sign(self.v - delta**2)
        else:
            self.v = self.beta_2 * self.v + (1 - self.beta_2) * delta**2
            eta *= np.sqrt(1 - self.beta_2 ** (number + 1)) / (1 - self.beta_1 ** (number + 1))
        return at + eta * self.m / (np.sqrt(self.v) + self.tau)


@pytest.mark.parametrize(
    ("server", "step"),
    [
        (FedAdam(eta=0.2), Optimizer("adam", 0.2, 0.9, 0.99)),
        (FedYogi(eta=0.1, tau=0.01), Optimizer("yogi", 0.1, 0.9, 0.99, 0.01)),
        (FedAdagrad(eta=0.3), Optimizer("adagrad", 0.3)),
    ],
)
def test_adaptive_server_optimisation(server, step):
    np.testing.assert_allclose(run(server, 6), loop(step, 6), rtol=1e-11)


def test_server_momentum():
    momentum = np.zeros(3)

    def step(number, at, models):
        nonlocal momentum
        momentum = 0.8 * momentum + (at - mean(models))
        return at - 0.5 * momentum

    server = FedAvgM(server_learning_rate=0.5, server_momentum=0.8)
    np.testing.assert_allclose(run(server, 5), loop(step, 5), rtol=1e-11)


def krum(models, malicious, count=1):
    """Blanchard et al., NeurIPS 2017."""
    distances = ((models[:, None] - models[None]) ** 2).sum(-1)
    closest = max(1, len(models) - malicious - 2)
    scores = [np.sort(row)[1 : closest + 1].sum() for row in distances]
    return np.argsort(scores)[:count]


def chosen(models, count):
    best = krum(models, 1, count)
    return np.average(models[best], axis=0, weights=WEIGHTS[best])


@pytest.mark.parametrize(
    ("server", "merge"),
    [
        (FedMedian(), lambda models: np.median(models, axis=0)),
        (FedTrimmedAvg(beta=0.25), lambda models: np.sort(models, axis=0)[1:3].mean(0)),
        (Krum(num_malicious_nodes=1), lambda models: chosen(models, 1)),
        (MultiKrum(num_malicious_nodes=1, num_nodes_to_select=2), lambda m: chosen(m, 2)),
        (FedAvg(), mean),
    ],
)
@pytest.mark.parametrize("initial", [True, False])
def test_robust_means(server, merge, initial):
    expected = loop(lambda number, at, models: merge(models), 3)
    np.testing.assert_allclose(run(server, 3, initial), expected, rtol=1e-12, atol=1e-15)


def test_without_initial_the_first_mean_is_the_model():
    optimizer = Optimizer("adam", 0.2, 0.9, 0.99)

    def step(number, at, models):
        return mean(models) if number == 1 else optimizer(number, at, models)

    np.testing.assert_allclose(run(FedAdam(eta=0.2), 4, False), loop(step, 4), rtol=1e-11)


def test_runs_of_one_declared_strategy_share_nothing():
    server = FedAdam(eta=0.2)
    assert run(server, 3).tobytes() == run(server, 3).tobytes()
    assert server.m_t is None
    assert server.fraction_train == 1.0


def test_one_node_and_equal_weights(reduce):
    model = {"w": np.array([1.0, 2.0], np.float32), "b": 3}
    got = reduce({"m": FlowerReduction(FedMedian())}, [{"m": model}])
    assert got["m"]["w"].dtype == np.float32
    assert got["m"] == {"w": pytest.approx([1.0, 2.0]), "b": 3.0}


def test_krum_does_not_show_the_order_of_arrival(reduce):
    models = [{"m": np.array([k % 5, k % 3, 1.0]), "n": k + 1} for k in range(12)]
    reduce({"m": FlowerReduction(Krum(num_malicious_nodes=2), by="n")}, models)


def test_what_goes_wrong_names_round_key_and_node(reduce):
    median = {"m": FlowerReduction(FedMedian(), by="n")}
    with pytest.raises(DataError, match=r"key `m`, node-1: .*node-1 sent an array of shape \(3,\)"):
        reduce(median, [{"m": np.zeros(2), "n": 1}, {"m": np.zeros(3), "n": 1}])
    with pytest.raises(DataError, match="key `m`, node-1: what it sent is of type str"):
        reduce(median, [{"m": np.zeros(2), "n": 1}, {"m": "a", "n": 1}])
    with pytest.raises(DataError, match="node-0: its weight `n` is negative"):
        reduce(median, [{"m": np.zeros(2), "n": -1}])
    with pytest.raises(DataError, match="the weights of all nodes together are zero"):
        reduce(median, [{"m": np.zeros(2), "n": 0}])
    adam = {"m": FlowerReduction(FedAdam(), by="n")}
    with pytest.raises(DataError, match="the weights of all nodes together are zero"):
        reduce(adam, [{"m": np.zeros(2), "n": 0}])


def test_only_flowers_own_strategies_are_taken():
    for wrong in (3, FedAdam, WeightedFedAvg()):
        with pytest.raises(ModelError, match="FlowerReduction takes one of Flower's strategies"):
            FlowerReduction(wrong)


EVERY = {
    "FedProx": {"proximal_mu": 0.0},
    "QFedAvg": {"client_learning_rate": 0.1},
    "DifferentialPrivacyClientSideAdaptiveClipping": {
        "strategy": FedAvg(),
        "noise_multiplier": 1.0,
        "num_sampled_clients": 100,
    },
    "DifferentialPrivacyClientSideFixedClipping": {
        "strategy": FedAvg(),
        "noise_multiplier": 1.0,
        "clipping_norm": 1.0,
        "num_sampled_clients": 100,
    },
}
for server_side in ("Adaptive", "Fixed"):
    EVERY[f"DifferentialPrivacyServerSide{server_side}Clipping"] = EVERY[
        f"DifferentialPrivacyClientSide{server_side}Clipping"
    ]


@pytest.mark.parametrize("name", sorted(set(strategies.__all__) - {"Result", "Strategy"}))
def test_flowers_strategies_are_tried_or_refused_with_reason(name):
    server = getattr(strategies, name)(**EVERY.get(name, {}))
    if name in TRIED:
        WeightedFedAvg(server=server)
        FlowerReduction(server)
        return
    for declare in (FlowerReduction, lambda server: WeightedFedAvg(server=server)):
        with pytest.raises(ModelError, match=f"{name} cannot merge here: ") as caught:
            declare(server)
        if "Privacy" in name:
            assert "filters=[GaussianNoise(norm=1.0, noise_multiplier=2.0)]" in str(caught.value)


def test_what_a_refusal_proposes_instead_works():
    filters = [GaussianNoise(norm=1.0, noise_multiplier=2.0)]
    for each in (filters, [Clip(1.0)]):
        strategy = WeightedFedAvg(server=FedAvg())
        StarModelTester(SITES, Arrays, strategy, "s3", filters=each)
    StarModelTester(SITES, Arrays, WeightedFedAvg(by="loss"), "s3")


class Arrays(Pull):
    def analysis_method(self, data, aggregator_results):
        answer = super().analysis_method(data, aggregator_results)
        return {**answer, "loss": 2.0}


def test_a_subclass_of_a_tried_strategy_is_taken(caplog):
    class Half(FedAvg):
        def aggregate_train(self, server_round, replies):
            arrays, metrics = super().aggregate_train(server_round, replies)
            halved = {key: Array(np.asarray(each.numpy() / 2)) for key, each in arrays.items()}
            return ArrayRecord(halved), metrics

    class Again(Half):
        pass

    expected = loop(lambda number, at, models: mean(models) / 2, 1)
    np.testing.assert_allclose(run(Again(), 1), expected, rtol=1e-12)

    class Fair(QFedAvg):
        pass

    class Foreign(Strategy):
        pass

    Foreign.__abstractmethods__ = frozenset()
    with pytest.raises(ModelError, match="Fair cannot merge here: it needs every node's loss"):
        WeightedFedAvg(server=Fair(client_learning_rate=0.1))
    with pytest.raises(ModelError, match=r"Foreign has not been tried here: .*FedAvg") as caught:
        WeightedFedAvg(server=Foreign())
    assert all(name in caught.value.message for name in TRIED)


def test_a_new_strategy_of_flower_is_refused():
    new = type("FedNew", (FedAvg,), {"__module__": "flwr.serverapp.strategy.fednew"})
    with pytest.raises(ModelError, match="FedNew has not been tried here"):
        WeightedFedAvg(server=new())


def test_fedprox_leaves_its_term_to_the_nodes():
    with pytest.raises(ModelError, match=r"Pull has fedprox_mu 0\. Say `fedprox_mu = 0\.1`"):
        run(FedProx(proximal_mu=0.1), 3)
    drawn = type("Drawn", (Pull,), {"fedprox_mu": 0.1})
    np.testing.assert_allclose(
        run(FedProx(proximal_mu=0.1), 3, analyzer=drawn),
        loop(lambda number, at, models: mean(models), 3),
    )


def bulyan(models, malicious):
    """El Mhamdi et al., ICML 2018: Krum's choice, then the closest to the median, by element."""
    theta = len(models) - 2 * malicious
    left = models[krum(models, malicious, theta)]
    far = np.abs(left - np.median(left, axis=0))
    closest = np.argsort(far, axis=0, kind="stable")[: theta - 2 * malicious]
    return np.take_along_axis(left, closest, axis=0).mean(axis=0)


def test_bulyan(reduce):
    rng = np.random.default_rng(5)
    models = rng.normal(size=(7, 3))
    models[4] = 1e6
    got = reduce(FlowerReduction(Bulyan(num_malicious_nodes=1)), list(models))
    np.testing.assert_allclose(got, bulyan(models, 1), rtol=1e-12)


def test_too_few_answers_for_a_strategy_are_named(reduce):
    with pytest.raises(
        DataError, match=r"Bulyan gave no aggregate of 6 answers\. It may need more"
    ):
        reduce(FlowerReduction(Bulyan(num_malicious_nodes=1)), [np.ones(2)] * 6)


@pytest.mark.parametrize("differing", ["error", "skip"])
def test_the_fewer_of_differing_models_are_left_out(reduce, differing):
    declared = {"m": FlowerReduction(FedMedian(), differing=differing)}
    values = [{"m": np.zeros(3)}, {"m": np.ones(2)}, {"m": np.full(2, 3.0)}]
    if differing == "error":
        with pytest.raises(DataError, match=r"node-0: .*node-0 sent an array of shape"):
            reduce(declared, values)
    else:
        assert reduce(declared, values)["m"].tolist() == [2.0, 2.0]


def test_flowers_lines_about_replies_are_left_out(caplog):
    run(FedMedian(), 2)
    assert "Received" not in caplog.text


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_step_that_overflows_names_its_key():
    with pytest.raises(DataError, match="round 2, key `model`: what FedAvgM made of finite numb"):
        run(FedAvgM(server_learning_rate=1e308, server_momentum=0.0), 2)
