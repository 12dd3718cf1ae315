"""The same training in plain PyTorch, without the framework."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from .networks import SPLITS, network  # noqa: E402


def mean(states, weights):
    """Return the weighted mean of state dicts, as tensors to go on with and as arrays."""
    found, exact = {}, {}
    for name, first in states[0].items():
        flat = [state[name].numpy().astype(np.float64).ravel() for state in states]
        products = zip(*(w * values for w, values in zip(weights, flat, strict=True)), strict=True)
        total = np.array([math.fsum(each) for each in products]) / sum(weights)
        kind = first.numpy().dtype if first.is_floating_point() else np.float64
        exact[name] = total.astype(kind).reshape(tuple(first.shape))
        found[name] = torch.tensor(exact[name])
    return found, exact


def loop(rounds, momentum=False, epochs=2, step=None):
    """Train without the framework; `step` makes parameters of their mean and the last ones."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    common, losses = network().state_dict(), []
    buffers = [None] * len(SPLITS)
    for number in range(1, rounds + 1):
        states, losses = [], []
        for node, (x, y) in enumerate(SPLITS):
            model = network()
            model.load_state_dict(common)
            torch.manual_seed(number)
            samples = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
            generator = torch.Generator().manual_seed(number)
            loader = torch.utils.data.DataLoader(samples, 8, shuffle=True, generator=generator)
            if momentum:
                optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
                if buffers[node]:
                    optimizer.load_state_dict(buffers[node])
            else:
                optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
            for _ in range(epochs):
                seen = []
                for features, target in loader:
                    optimizer.zero_grad()
                    loss = torch.nn.functional.mse_loss(model(features)[:, 0], target)
                    loss.backward()
                    optimizer.step()
                    seen += [loss.item()] * len(target)
            buffers[node] = optimizer.state_dict()
            losses.append(math.fsum(seen) / len(seen))
            states.append(model.state_dict())
        before = common
        common, exact = mean(states, [len(y) for _, y in SPLITS])
        for name in common:
            if name.endswith("num_batches_tracked"):
                common[name] = common[name].round().to(torch.int64)
                exact[name] = common[name].numpy()
            elif step is not None and "running" not in name and number > 1:
                exact[name] = step(number, name, before[name].numpy(), exact[name])
                common[name] = torch.tensor(exact[name])
    torch.set_num_threads(threads)
    return exact, losses
