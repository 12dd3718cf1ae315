"""What runs at every hospital, and what merges it: one round, one table."""

import io

import pandas as pd

from flame_flwr.labels import DeclaredLabels
from flame_flwr.star import StarAggregator, StarAnalyzer
from flame_flwr.statistics import Total, ValueCounts

GROUP, VALUE = "treatment", "days_in_hospital"
GROUPS = ["new", "standard"]
"""The codes of the groups: what fits none of them is counted as other."""


class Analyzer(StarAnalyzer):
    """Counts the patients of a hospital by group, and adds up their values."""

    def analysis_method(self, data, aggregator_results):
        """Return statistics: what is returned leaves the hospital, and nothing else."""
        tables = [
            pd.read_csv(io.BytesIO(content))
            for files in data
            for name, content in files.items()
            if name.endswith(".csv")
        ]
        if not tables:
            raise ValueError("there is no .csv file among this node's files")
        table = pd.concat(tables, ignore_index=True).dropna(subset=[GROUP, VALUE])
        self.flame.flame_log(f"{len(table)} patients with {GROUP} and {VALUE}")
        group = table[GROUP].map(DeclaredLabels(GROUPS).find)
        return {
            "patients": ValueCounts.from_data(table[GROUP], GROUPS),
            "days": [Total.from_data(table[VALUE][group == i]) for i in range(len(GROUPS))],
        }


class Aggregator(StarAggregator):
    """Merges what the hospitals return, and writes a table of it."""

    def aggregation_method(self, analysis_results):
        """Return the table, one line per group."""
        patients, *days = (
            merged(statistics)
            for statistics in zip(
                *([result["patients"], *result["days"]] for result in analysis_results),
                strict=True,
            )
        )
        lines = [f"{GROUP:12} patients  mean {VALUE}"]
        for group, total in zip(GROUPS, days, strict=True):
            figures = total.result()
            mean = "-" if figures["mean"] is None else f"{figures['mean']:.2f}"
            lines.append(f"{group:12} {figures['n']:8}  {mean}{withheld(figures)}")
        other = patients.result()["other"]
        if other != 0:
            lines.append(f"{'other':12} {'few' if other is None else other:>8}")
        return "\n".join(lines)

    def has_converged(self, result, last_result):
        """Say that one round is enough."""
        return True


def merged(statistics):
    """Return the statistics of all hospitals together."""
    first, *others = statistics
    for other in others:
        first = first.merge(other)
    return first


def withheld(figures):
    """Say how many hospitals kept their figures back, being of few patients."""
    return f"  without {figures['suppressed']} of them" if figures["suppressed"] else ""
