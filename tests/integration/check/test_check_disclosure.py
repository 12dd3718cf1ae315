"""``flame-flwr check`` on an analysis whose rules move values by chance: no finding of its own."""

from flame_flwr.privacy import MinCount, NoisyMinMax
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel
from flame_flwr.statistics import MinMax
from flame_flwr.testing.subjects import Subject


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return MinMax.from_data(data)


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results[0]

    def has_converged(self, result, last_result):
        return True


def test_the_check_takes_chance_out_of_the_rules():
    rules = [NoisyMinMax(), NoisyMinMax(secret="own"), MinCount(5)]
    model = StarModel(Analyzer, Aggregator, "s3", disclosure=rules)

    plan = Subject.of(model.declaration, []).plan
    assert [getattr(rule, "secret", "") for rule in plan.disclosure] == ["check", "own", ""]
    assert model.plan.disclosure == tuple(rules)
