"""Federated algorithms in plain PyTorch, as their papers have them, without the framework."""

import math
from contextlib import contextmanager
from fractions import Fraction

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


def scaffold(rounds, splits=SPLITS, away=()):
    """Karimireddy et al., ICML 2020, option II: every node counts the same."""
    with one_thread():
        common = first()
        names = [name for name, _ in network().named_parameters()]
        server = {name: torch.zeros_like(common[name]) for name in names}
        controls = [dict(server) for _ in splits]
        for number in range(1, rounds + 1):
            states, changes = [], []
            for node, split in enumerate(splits):
                if (number, node) in away:
                    continue
                own = controls[node]

                def correct(name, gradient, own=own):
                    return gradient - own[name] + server[name]

                state, steps, _ = local(common, split, number, correct=correct)
                scale = 1 / (steps * RATE)
                controls[node] = {
                    name: own[name] - server[name] + (common[name] - state[name]) * scale
                    for name in names
                }
                states.append(state)
                changes.append({name: controls[node][name] - own[name] for name in names})
            for name in names:
                total = sum(change[name].double() for change in changes).float()
                server[name] = server[name] + 1 / len(splits) * total
            common = whole(mean(states, [1] * len(states))[0])
    return common, server


def exact_mean(values, weights):
    """Return a weighted mean, computed in fractions and rounded once."""
    arrays = [value.numpy().ravel().tolist() for value in values]
    fractions = [Fraction(weight) for weight in weights]
    totals = [
        sum(w * Fraction(x) for w, x in zip(fractions, each, strict=True)) / sum(fractions)
        for each in zip(*arrays, strict=True)
    ]
    return torch.tensor([float(total) for total in totals], dtype=torch.float64)


def fednova(rounds, splits=SPLITS):
    """Wang et al., NeurIPS 2020, equation 6, for plain gradient steps."""
    with one_thread():
        common = first()
        names = [name for name, _ in network().named_parameters()]
        rows = [len(y) for _, y in splits]
        for number in range(1, rounds + 1):
            ends = [local(common, split, number)[:2] for split in splits]
            states, steps = [end[0] for end in ends], [end[1] for end in ends]
            new = whole(mean(states, rows)[0])
            shares = [n / t for n, t in zip(rows, steps, strict=True)]
            longer = exact_mean([torch.tensor(float(t)) for t in steps], rows)
            for name in names:
                middle = exact_mean([state[name] for state in states], shares).float()
                before = common[name].double().ravel()
                scale = longer * (math.fsum(shares) / sum(rows))
                step = before + scale * (middle.double() - before)
                new[name] = step.float().reshape(common[name].shape)
            common = new
    return common
