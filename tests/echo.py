"""An analysis that gives back each node's split, unchanged."""

from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return self.num_iterations >= 1


def run(splits, **kwargs):
    return StarModelTester(splits, Analyzer, Aggregator, kwargs.pop("data_type", "s3"), **kwargs)
