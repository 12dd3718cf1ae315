"""How many patients several hospitals have, with noise on the sum: FLAME's own example.

It is a FLAME script as it is: ``flame-flwr run count.py`` runs it on the hospitals' data, and
``flwr run`` too, by this folder's ``pyproject.toml``.
"""

from flame.star import StarAggregator, StarAnalyzer, StarLocalDPModel

QUERY = "Patient?_summary=count"


class MyAnalyzer(StarAnalyzer):
    """Counts one hospital's patients."""

    def analysis_method(self, data, aggregator_results):
        """Add up what the hospital's FHIR servers, or folders of bundles, answer."""
        total = sum(bundles[QUERY]["total"] for bundles in data)
        self.flame.flame_log(f"{len(data)} data sources counted", log_type="notice")
        return total


class MyAggregator(StarAggregator):
    """Adds up the hospitals' counts."""

    def aggregation_method(self, analysis_results):
        """Return the sum; the framework adds the noise."""
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        """Say that one round is enough."""
        return True


def main():
    """Declare the analysis: who runs what, the question, the privacy budget."""
    StarLocalDPModel(
        analyzer=MyAnalyzer,
        aggregator=MyAggregator,
        data_type="fhir",
        query=QUERY,
        simple_analysis=True,
        output_type="str",
        epsilon=1.0,
        sensitivity=1.0,
        filename="patients.txt",
    )


if __name__ == "__main__":
    main()
