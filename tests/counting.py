"""An analysis that counts its nodes."""

from flame_flwr.star import StarAggregator, StarAnalyzer


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return 1


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return True
