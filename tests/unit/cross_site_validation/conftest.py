"""A plain loop's predictions, and the run that is compared with them."""

import numpy as np
import pytest

from .wards_apart import MODELS, NODES, SPLITS, fit, run


@pytest.fixture(scope="session")
def predictions():
    """The outcomes and every model's predictions at every hospital, by a plain loop."""
    halves = [((x[::2], y[::2]), (x[1::2], y[1::2])) for x, y in (split[0] for split in SPLITS)]
    common, own = np.zeros(4), [np.zeros(4) for _ in SPLITS]
    counts = [len(y) for (_, y), _ in halves]
    for _ in range(4):
        found = [fit(common, *train) for train, _ in halves]
        common = np.average(found, axis=0, weights=counts)
        own = [fit(each, *train) for each, (train, _) in zip(own, halves, strict=True)]

    def predicted(weights, x):
        return 1 / (1 + np.exp(-(x @ weights[:-1] + weights[-1])))

    models = dict(zip(MODELS, [*own, common], strict=True))
    return {
        name: {node: (y, predicted(w, x)) for node, (_, (x, y)) in zip(NODES, halves, strict=True)}
        for name, w in models.items()
    }


@pytest.fixture(scope="session")
def tester():
    return run()


@pytest.fixture(scope="session")
def result(tester):
    return tester.result["cross_site"]
