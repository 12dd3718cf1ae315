"""A PyTorch model that goes from hospital to hospital, to the bit as a plain loop has it."""

import pytest

torch = pytest.importorskip("torch")

from flame_flwr.clients import NodePlan  # noqa: E402
from flame_flwr.clients.local_grid import LocalGrid  # noqa: E402
from flame_flwr.config import RunSettings  # noqa: E402
from flame_flwr.results import RunRecord  # noqa: E402
from flame_flwr.strategies import CyclicTraining  # noqa: E402

from .networks import SPLITS, run  # noqa: E402
from .plain_algorithms import first, local, one_thread  # noqa: E402
from .test_proximal import Steps, same  # noqa: E402


def plain(rounds, away=()):
    with one_thread():
        common = first()
        for number in range(1, rounds + 1):
            for node, split in enumerate(SPLITS):
                if (number, node) not in away:
                    common = local(common, split, number)[0]
    return common


def test_a_model_goes_round():
    strategy = CyclicTraining(rounds=3, metrics=["loss"])
    same(run(Steps, strategy=strategy).result["model"], plain(3))


def test_over_messages_with_a_node_away():
    class Away(Steps):
        def loss(self, batch):
            if (self.id, self.num_iterations) == ("node-0", 1):
                raise RuntimeError("away")
            return super().loss(batch)

    record = RunRecord()
    with LocalGrid(NodePlan(Away, data_type="s3"), SPLITS) as grid:
        settings = RunSettings.from_config({"on-failure": "skip", "min-nodes": 1})
        CyclicTraining(rounds=3).start(grid, settings=settings, record=record)
    same(record.result["model"], plain(3, away=[(2, 0)]))
    assert [entry.order for entry in record.history] == [["node-0", "node-1"], ["node-1"]] + [
        ["node-0", "node-1"]
    ]
