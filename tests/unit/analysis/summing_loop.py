"""An analysis that sums, round by round, and what a run made."""

from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester


class Analyzer(StarAnalyzer):
    """Adds its data to the last aggregate."""

    def analysis_method(self, data, aggregator_results):
        return data + (aggregator_results or 0)


class Aggregator(StarAggregator):
    """Sums; stops after `stop_at` finished rounds."""

    def __init__(self, flame, stop_at=2):
        super().__init__(flame)
        self.stop_at = stop_at
        self.calls = []

    def aggregation_method(self, analysis_results):
        self.calls.append(("aggregation", self.num_iterations))
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        self.calls.append(("converged", self.num_iterations, last_result))
        return self.num_iterations >= self.stop_at


class Keep:
    """Instances that a run made, to look at afterwards."""

    def __init__(self):
        self.made = []

    def of(self, cls):
        keep = self

        class Kept(cls):
            def __init__(self, flame, **kwargs):
                super().__init__(flame, **kwargs)
                keep.made.append(self)

        return Kept


def run(splits, analyzer=Analyzer, aggregator=Aggregator, **kwargs):
    kwargs.setdefault("simple_analysis", False)
    return StarModelTester(splits, analyzer, aggregator, "s3", **kwargs)
