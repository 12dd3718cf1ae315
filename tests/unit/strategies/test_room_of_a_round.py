"""What the values of a round take together is bounded, and one node's part is no other's."""

import numpy as np
import pytest

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import NodeFailedError
from flame_flwr.results import RunRecord
from flame_flwr.star import StarAggregator, StarAnalyzer
from flame_flwr.strategies import StarStrategy

NODES = 40
CONFIG = {"max-answer-mb": 0.1}
"""So that all may have 3.2 MB, and one of 40 nodes 82 kB: less than may arrive of one."""


class Says(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


class Sizes(StarAggregator):
    def aggregation_method(self, analysis_results):
        return [len(each) for each in analysis_results]

    def has_converged(self, result, last_result):
        return True


def run(value, **config):
    data = [np.zeros(10_000)] * NODES
    data[1] = value
    record = RunRecord()
    settings = RunSettings.from_config({**CONFIG, **config})
    with LocalGrid(NodePlan(Says, data_type="s3"), data) as grid:
        StarStrategy(Sizes).start(grid, settings=settings, record=record)
    return record


LARGE = {"an array": np.zeros(11_000), "many small things": [[[]] for _ in range(1000)]}


@pytest.mark.parametrize("name", LARGE)
def test_more_than_its_part_is_its_senders_failure(name):
    record = run(LARGE[name], **{"on-failure": "skip"})
    assert list(record.history[0].failed) == ["node-1"]
    assert record.aggregate == [10_000] * (NODES - 1)
    with pytest.raises(
        NodeFailedError, match=r"node node-1 failed in round 1: .* 0\.08 MB"
    ) as raised:
        run(LARGE[name])
    assert "raise `max-answer-mb` in the run config" in str(raised.value)
    assert run(LARGE[name], **{"max-answer-mb": 1.0}).aggregate[1] == len(LARGE[name])
