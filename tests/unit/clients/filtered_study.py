"""A small study whose answers are filtered."""

import numpy as np

from flame_flwr.star import StarAggregator, StarAnalyzer

SPLITS = [1.0, 2.0, -3.0]

ROUNDS = 3


class Train(StarAnalyzer):
    """Moves the model by numbers of its own; keeps its last result to see that it stays exact."""

    def analysis_method(self, data, aggregator_results):
        before = np.zeros(6) if aggregator_results is None else aggregator_results["coef"]
        before *= 2  # the node's own copy: what the filters compare with is another
        self.exact = before / 2 + data * np.arange(1.0, 7.0)
        return {"coef": self.exact, "n": 10}


class Average(StarAggregator):
    def aggregation_method(self, analysis_results):
        assert all(result["n"] == 10 for result in analysis_results)
        return {"coef": sum(result["coef"] for result in analysis_results) / len(analysis_results)}

    def has_converged(self, result, last_result):
        return self.num_iterations >= ROUNDS - 1
