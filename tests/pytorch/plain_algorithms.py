"""Federated algorithms in plain PyTorch, as their papers have them, without the framework."""

from contextlib import contextmanager

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from .networks import SPLITS, network  # noqa: E402
from .plain_loop import mean  # noqa: E402

RATE, BATCH, EPOCHS = 0.05, 8, 2


@contextmanager
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def first():
    """Return the weights that every node draws."""
    torch.manual_seed(0)
    return network().state_dict()


def local(common, split, number, *, mu=0.0, towards=None, correct=None):
    """Go a node's steps of a round; return its weights, the steps and the last mean loss."""
    x, y = split
    model = network()
    model.load_state_dict(common)
    parameters = dict(model.named_parameters())
    centre = {name: (towards or common)[name].clone() for name in parameters}
    torch.manual_seed(number)
    samples = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    generator = torch.Generator().manual_seed(number)
    loader = torch.utils.data.DataLoader(samples, BATCH, shuffle=True, generator=generator)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    steps = 0
    for _ in range(EPOCHS):
        losses = []
        for features, target in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(features)[:, 0], target)
            losses += [loss.item()] * len(target)
            if mu:
                squares = sum(((p - centre[n]) ** 2).sum() for n, p in parameters.items())
                loss = loss + mu / 2 * squares
            loss.backward()
            for name, parameter in parameters.items() if correct else ():
                parameter.grad = correct(name, parameter.grad)
            optimizer.step()
            steps += 1
    state = {name: value.clone() for name, value in model.state_dict().items()}
    return state, steps, float(np.mean(losses))


def whole(state):
    """Return weights with counts of batches as whole numbers, as a model has them."""
    counts = [name for name in state if name.endswith("num_batches_tracked")]
    return {**state, **{name: state[name].round().to(torch.int64) for name in counts}}


def fedavg(rounds, splits=SPLITS, **more):
    """McMahan et al., AISTATS 2017; with `mu` Li et al., MLSys 2020."""
    with one_thread():
        common = first()
        for number in range(1, rounds + 1):
            states = [local(common, split, number, **more)[0] for split in splits]
            common = whole(mean(states, [len(y) for _, y in splits])[0])
    return common
