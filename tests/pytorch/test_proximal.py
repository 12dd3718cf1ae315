"""FedProx: the term on tensors, in training, and a strategy that needs it."""

import numpy as np
import pytest
from flwr.serverapp.strategy import FedProx

torch = pytest.importorskip("torch")

from flame_flwr.aggregation import (  # noqa: E402
    MaxRounds,
    proximal_gradient,
    proximal_term,
    scaffold_control,
    scaffold_gradient,
    scaffold_update,
    zeros_like,
)
from flame_flwr.errors import ModelError  # noqa: E402
from flame_flwr.star import StarModel  # noqa: E402
from flame_flwr.strategies import WeightedFedAvg  # noqa: E402

from .networks import Net, network, odd, run  # noqa: E402
from .plain_algorithms import RATE, fedavg  # noqa: E402


class Steps(Net):
    """Plain gradient steps."""

    learning_rate = RATE

    def optimizer(self, parameters):
        return torch.optim.SGD(parameters, lr=self.learning_rate)


def same(got, expected):
    """See that weights are the same to the bit."""
    assert list(got) == list(expected)
    for name, value in expected.items():
        assert got[name].tobytes() == value.numpy().tobytes(), name
        assert got[name].dtype == value.numpy().dtype, name


@pytest.mark.parametrize("mu", [0.0, 0.5])
def test_training_is_drawn_to_what_was_received(mu):
    result = run(Steps, fedprox_mu=mu).result["model"]
    same(result, fedavg(3, mu=mu))
    if mu:
        assert result["0.weight"].tobytes() != fedavg(3)["0.weight"].numpy().tobytes()


def test_steps_that_diverge_are_refused():
    """Of ``mu / 2 * (w - r)**2`` alone a plain step makes ``(1 - rate * mu) * (w - r)``."""
    with pytest.raises(ModelError, match=r"drawn to the common one with 20, .* learning rate 0\.1"):
        run(Steps, rounds=1, fedprox_mu=20, learning_rate=0.1)
    run(Steps, rounds=1, epochs=1, fedprox_mu=19, learning_rate=0.1)

    class Heavy(Steps):
        def optimizer(self, parameters):
            return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)  # it bears 2 * (1 + 0.9)

    run(Heavy, rounds=1, epochs=1, fedprox_mu=20)


def test_the_told_loss_lacks_the_term():
    """Of the first step, where the weights have not moved yet, and of the second: as the user's."""
    seen = []

    class Seen(Steps):
        def loss(self, batch):
            seen.append(super().loss(batch))
            return seen[-1]

    losses = run(Seen, rounds=1, fedprox_mu=30.0, epochs=1).history[0].node_metrics["node-0"]
    assert losses["loss"] == pytest.approx(np.mean([each.item() for each in seen[:5]]))


def test_a_frozen_layer_takes_no_part():
    def model(self):
        net = network()
        net[0].weight.requires_grad_(False)
        return net

    frozen = type("Frozen", (Steps,), {"model": model})
    one = run(frozen, rounds=1, fedprox_mu=0.5).result["model"]
    assert one["0.weight"].tobytes() == run(frozen, rounds=2).result["model"]["0.weight"].tobytes()


@pytest.mark.parametrize("mu", [-1, True, "0.1", float("nan"), float("inf")])
def test_a_wrong_mu_is_refused(mu):
    with pytest.raises(ModelError, match="fedprox_mu must be a number from 0"):
        run(odd(fedprox_mu=mu))


def test_flowers_fedprox_is_what_it_says():
    strategy = WeightedFedAvg(server=FedProx(proximal_mu=0.5), convergence=MaxRounds(3))
    got = run(Steps, strategy=strategy, fedprox_mu=0.5).result["model"]
    for name, value in fedavg(3, mu=0.5).items():
        np.testing.assert_allclose(got[name], value.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


def test_flowers_fedprox_needs_an_analyzer_with_the_term():
    strategy = WeightedFedAvg(server=FedProx(proximal_mu=10), convergence=MaxRounds(3))
    said = r"FedProx\(proximal_mu=10\) merges as FedAvg does.*`fedprox_mu = 10`"
    for kwargs in ({}, {"fedprox_mu": 1.0}):
        with pytest.raises(ModelError, match=said):
            StarModel(Steps, strategy, "s3", analyzer_kwargs=kwargs)
    StarModel(Steps, strategy, "s3", analyzer_kwargs={"fedprox_mu": 10})
    StarModel(type("Drawn", (Steps,), {"fedprox_mu": 10}), strategy, "s3")


# ---- the plain functions ---------------------------------------------------------------------


def parameters(seed):
    torch.manual_seed(seed)
    return network()


def test_the_term_takes_a_models_parameters():
    net, others = parameters(1), [each.detach() for each in parameters(2).parameters()]
    term = proximal_term(net.parameters(), others, 0.3)
    pairs = list(zip(net.parameters(), others, strict=True))
    plain = 0.15 * sum(float(((p.detach().double() - o.double()) ** 2).sum()) for p, o in pairs)
    assert float(term.detach()) == pytest.approx(plain, rel=1e-6)
    term.backward()
    slopes = proximal_gradient([p.detach() for p in net.parameters()], others, 0.3)
    for (p, o), slope in zip(pairs, slopes, strict=True):
        torch.testing.assert_close(p.grad, 0.3 * (p.detach() - o))
        torch.testing.assert_close(slope, p.grad)


def test_arrays_become_tensors_like_the_weights():
    weights = {"a": torch.tensor([1.0, 2.0], requires_grad=True)}
    term = proximal_term(weights, {"a": np.array([1.0, 4.0])}, 0.5)
    assert (float(term.detach()), term.dtype) == (1.0, torch.float32)


def test_control_variates_are_tensors_too():
    c, s, r, w = (torch.tensor([x]) for x in (0.5, 0.25, 3.0, 2.0))
    assert scaffold_gradient(w, c, s) == torch.tensor([1.75])
    assert scaffold_control(c, s, r, w, steps=5, learning_rate=0.1) == torch.tensor([2.25])
    new, control = scaffold_update(w, c, r, s, share=0.5)
    assert (new, control) == (torch.tensor([5.0]), torch.tensor([0.625]))
    assert zeros_like({"a": w})["a"].tolist() == [0.0]
