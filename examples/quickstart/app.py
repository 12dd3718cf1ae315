"""The smallest app there is: nodes average their numbers and move towards the common average.

``python app.py`` runs it in this process, ``flwr run . local`` in Flower's simulation. The two
classes are those of FLAME's guide to local testing.
"""

from __future__ import annotations

from flwr.app import Context

from flame_flwr.errors import ConfigError
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel, StarModelTester


class MyAnalyzer(StarAnalyzer):
    """Averages a node's numbers and moves halfway to the common average, plus a half."""

    def analysis_method(self, data: list[int], aggregator_results: float | None) -> float:
        """Return the node's average; from the second round on, drawn to the common one."""
        self.flame.flame_log(f"the aggregator said: {aggregator_results}", log_type="debug")
        local_average = sum(data) / len(data)
        if aggregator_results is None:
            analysis_result = local_average
        else:
            analysis_result = (local_average + aggregator_results) / 2 + 0.5
        self.flame.flame_log(f"analysis result: {analysis_result}", log_type="notice")
        return analysis_result


class MyAggregator(StarAggregator):
    """Averages what the nodes return, and stops after six rounds."""

    def aggregation_method(self, analysis_results: list[float]) -> float:
        """Return the average of the nodes' results, which come in the order of the nodes."""
        result = sum(analysis_results) / len(analysis_results)
        self.flame.flame_log(f"common average of {analysis_results}: {result}", log_type="notice")
        return result

    def has_converged(self, result: float, last_result: float | None) -> bool:
        """Say whether to stop; ``num_iterations`` is 0 in the first round and 5 in the sixth."""
        return self.num_iterations >= 5


# What `flwr run` needs: the model, its two apps (named in pyproject.toml) and a node's data.

model = StarModel(
    MyAnalyzer, MyAggregator, data_type="s3", simple_analysis=False, filename="average.txt"
)
server_app = model.server_app
client_app = model.client_app


def node_data(context: Context) -> list[int]:
    """Return the simulated node's numbers: 1 to 4, 5 to 8, and so on."""
    partition = context.node_config.get("partition-id")
    if partition is None:
        raise ConfigError(
            "app:node_data makes up the numbers of simulated nodes. This node is a real one: its "
            "analyzer gets files, as in examples/pancreas, and `data` in its config names them."
        )
    first = 4 * int(partition) + 1
    return [first, first + 1, first + 2, first + 3]


# What `python app.py` needs: a list with one entry per node, and nothing else.

if __name__ == "__main__":
    data_1 = [1, 2, 3, 4]
    data_2 = [5, 6, 7, 8]

    StarModelTester(
        data_splits=[data_1, data_2],
        analyzer=MyAnalyzer,
        aggregator=MyAggregator,
        data_type="s3",
        simple_analysis=False,
    )
