"""What runs at every hospital, and what merges it: statistics that add up, and three files."""

import io
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")  # nodes and servers have no display

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from flame_flwr.star import StarAggregator, StarAnalyzer

COLUMN, UNIT = "haemoglobin", "g/dl"
EDGES = np.arange(5.0, 21.0, 1.0)
"""Of the histogram's bins, the same at every hospital; what is outside counts as outside."""


class Moments(NamedTuple):
    """How many values, their mean, and the sum of squared deviations from it."""

    count: int
    mean: float
    squares: float

    def merged(self, other):
        """Return the moments of both sets of values together (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        if not count:
            return self
        shift = other.mean - self.mean
        mean = self.mean + shift * other.count / count
        squares = self.squares + other.squares + shift**2 * self.count * other.count / count
        return Moments(count, mean, squares)


class Analyzer(StarAnalyzer):
    """Describes a hospital's values by numbers that add up over hospitals."""

    def analysis_method(self, data, aggregator_results):
        """Return moments, bin counts and the number of empty cells."""
        tables = [
            pd.read_csv(io.BytesIO(content), usecols=[COLUMN])
            for files in data
            for name, content in files.items()
            if name.endswith(".csv")
        ]
        column = pd.concat(tables)[COLUMN]
        values = column.dropna().to_numpy(dtype=float)
        counts, _ = np.histogram(values, bins=EDGES)
        mean = float(values.mean()) if len(values) else 0.0
        squares = float(((values - mean) ** 2).sum())
        self.flame.flame_log(f"{len(values)} values, {column.isna().sum()} empty cells")
        return {
            "moments": tuple(Moments(len(values), mean, squares)),
            "counts": counts,
            "empty": int(column.isna().sum()),
        }


class Aggregator(StarAggregator):
    """Merges the hospitals' numbers, and draws and writes what they say."""

    def aggregation_method(self, analysis_results):
        """Return the merged numbers."""
        moments = Moments(0, 0.0, 0.0)
        for result in analysis_results:
            moments = moments.merged(Moments(*result["moments"]))
        return {
            "count": moments.count,
            "mean": moments.mean,
            "variance": moments.squares / (moments.count - 1) if moments.count > 1 else 0.0,
            "counts": sum(result["counts"] for result in analysis_results),
            "empty": sum(result["empty"] for result in analysis_results),
        }

    def has_converged(self, result, last_result):
        """Say that one round is enough."""
        return True

    def final_method(self, result, evaluations):
        """Return the contents of the three files: text, a picture's bytes, the numbers."""
        text = (
            f"{COLUMN}: {result['count']} values, {result['empty']} empty cells\n"
            f"mean {result['mean']:.2f} {UNIT}, deviation {result['variance'] ** 0.5:.2f} {UNIT}\n"
        )
        return [text, histogram(result["counts"]), result]


def histogram(counts):
    """Return a PNG picture of the histogram, made in memory."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.stairs(counts, EDGES, fill=True)
    axes.set(xlabel=f"{COLUMN} in {UNIT}", ylabel="patients", title="All hospitals")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    plt.close(figure)
    return picture.getvalue()
