"""A study of a table: the sum of all ages."""

from flame_flwr.star import StarAggregator, StarAnalyzer


class Ages(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return int(data[0]["people"]["age"].sum())


class Total(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return True
