"""What runs at every hospital, and what merges it: statistics that add up, and three files."""

import io

import matplotlib

matplotlib.use("Agg")  # nodes and servers have no display

import matplotlib.pyplot as plt
import pandas as pd

from flame_flwr.star import StarAggregator, StarAnalyzer
from flame_flwr.statistics import Histogram, Moments

COLUMN, UNIT = "haemoglobin", "g/dl"
EDGES = [3, 10, 11, 12, 13, 14, 15, 16, 24]
"""Of the histogram's bins, the same at every hospital; what is outside counts as outside."""


class Analyzer(StarAnalyzer):
    """Describes a hospital's values by statistics that add up over hospitals."""

    def analysis_method(self, data, aggregator_results):
        """Return moments and a histogram, which counts the empty cells, too."""
        tables = [
            pd.read_csv(io.BytesIO(content), usecols=[COLUMN])
            for files in data
            for name, content in files.items()
            if name.endswith(".csv")
        ]
        column = pd.concat(tables)[COLUMN]
        self.flame.flame_log(f"{column.count()} values, {column.isna().sum()} empty cells")
        return {
            "moments": Moments.from_data(column),
            "histogram": Histogram.from_data(column, EDGES),
        }


class Aggregator(StarAggregator):
    """Merges the hospitals' statistics, and draws and writes what they say."""

    def aggregation_method(self, analysis_results):
        """Return the merged statistics."""
        merged = analysis_results[0]
        for result in analysis_results[1:]:
            merged = {key: merged[key].merge(result[key]) for key in merged}
        return merged

    def has_converged(self, result, last_result):
        """Say that one round is enough."""
        return True

    def final_method(self, result, evaluations):
        """Return the contents of the three files: text, a picture's bytes, the figures."""
        figures = {key: statistic.result() for key, statistic in result.items()}
        return [summary(**figures), picture(figures["histogram"]), figures]


def summary(moments, histogram):
    """Return a text on the values of all hospitals that gave them."""
    empty = "few" if histogram["missing"] is None else histogram["missing"]
    lines = [f"{COLUMN}: {moments['n']} values, {empty} empty cells"]
    if moments["variance"] is not None:
        lines.append(f"mean {moments['mean']:.2f} {UNIT}, deviation {moments['std']:.2f} {UNIT}")
    for name, figures in (("the mean", moments), ("some bins", histogram)):
        if figures["suppressed"]:
            lines.append(
                f"{name}: without {figures['suppressed']} hospitals, being of few patients"
            )
    return "\n".join(lines) + "\n"


def picture(histogram):
    """Return a PNG picture of the histogram, made in memory."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.stairs(histogram["known"], EDGES, fill=True)
    for low, high, gone in zip(EDGES[:-1], EDGES[1:], histogram["withheld_at"], strict=True):
        if gone:  # at some hospitals, which kept it back
            axes.axvspan(low, high, facecolor="none", edgecolor="0.8", hatch="///", zorder=0)
    axes.set(xlabel=f"{COLUMN} in {UNIT}", ylabel="patients", title="All hospitals")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    plt.close(figure)
    return content.getvalue()
