"""What the server writes of the training: two tables and a picture."""

from __future__ import annotations

import csv
import io
from typing import Any

__all__ = ["codes_csv", "draw_training", "rounds_csv"]

COLUMNS = ("local_n_samples", "loss", "accuracy", "n_test", "test_loss", "test_accuracy")
"""``test_``: of the model as the centre received it, on patients kept from training."""


def codes_csv(final: Any) -> str:
    """Return the codes that were agreed on, in the order of the model's inputs."""
    rows = [[place, code, final["counts"][code]] for place, code in enumerate(final["codes"])]
    return _csv(["input", "code", "observations"], rows)


def rounds_csv(final: Any) -> str:
    """Return what every centre reported of every round of training."""
    rows = [
        [number, node, *(said[name].get(node, "") if said[name] else "" for name in COLUMNS)]
        for number, said in enumerate(final["training"], start=1)
        for node in said["loss"]
    ]
    return _csv(["round", "centre", "patients", *COLUMNS[1:]], rows)


def draw_training(final: Any) -> bytes:
    """Return a PNG with loss and accuracy of every centre over the rounds."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    training = final["training"]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    numbers = list(range(1, len(training) + 1))
    for colour, node in enumerate(training[0]["loss"]):
        for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
            own = [said[name].get(node) for said in training]
            axis.plot(numbers, own, color=f"C{colour}", marker="o", markersize=3, label=node)
            if training[0][f"test_{name}"]:
                tested = [said[f"test_{name}"].get(node) for said in training]
                axis.plot(numbers, tested, color=f"C{colour}", linestyle=":")
    for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
        axis.set(xlabel="round of training", title=name)
        axis.set_xticks(numbers)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].yaxis.set_major_formatter(PercentFormatter(1, 0))
    axes[0].legend(frameon=False)
    figure.supxlabel(
        "line: the centre's own patients after its training; dotted: patients kept from training, "
        "model as received",
        fontsize=8,
    )
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def _csv(header: list[str], rows: list[list[Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue()
