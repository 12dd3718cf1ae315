"""The files of a cross-site validation, for ``outputs`` of a strategy."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flame_flwr.cross_site.phases import CROSS_SITE
from flame_flwr.cross_site.result import ALL

if TYPE_CHECKING:
    from flame_flwr.cross_site.result import CrossSiteResult

__all__ = ["CROSS_SITE_FILES", "curves", "summary", "table"]

_FIGURES = ("positives", "negatives", "auc", "lower", "upper", "accuracy")


def summary(result: CrossSiteResult) -> str:
    """Return AUC and accuracy as tables of text; ``-`` where there is none."""
    parts: list[str] = []
    first = max(map(len, result.models)) + 2
    width = max(9, *(len(node) + 2 for node in result.nodes))
    for what, title in (("auc", "AUC"), ("accuracy", "Accuracy")):
        parts += [f"{title}: each model on each node's held-out rows", ""]
        columns = [*result.nodes, ALL]
        parts.append(f"{'model':{first}}" + "".join(f"{name:>{width}}" for name in columns))
        for model in result.models:
            cells = [f"{result.shown(what, model, node):>{width}}" for node in columns]
            parts.append(f"{model:{first}}" + "".join(cells))
        parts.append("")
    parts.append(result.moved)
    return "\n".join(parts).rstrip() + "\n"


def table(result: CrossSiteResult) -> str:
    """Return every figure of every model at every node as CSV."""
    lines = []
    for model in result.models:
        for node in [*result.nodes, ALL]:
            figures = result.figures(model, node)
            lines.append([model, node, *(figures[each] for each in _FIGURES)])
    return _csv(["model", "node", *_FIGURES], lines)


def curves(result: CrossSiteResult) -> str:
    """Return the ROC curves of every model at every node as CSV."""
    lines = [
        [model, node, *point]
        for model in result.models
        for node in [*result.nodes, ALL]
        for point in result.roc(model, node).tolist()
    ]
    return _csv(["model", "node", "threshold", "false_positives", "true_positives"], lines)


def _csv(header: list[str], lines: list[list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for line in lines:
        writer.writerow(["" if each != each else each for each in line])  # NaN
    return text.getvalue()


def _drawn(name: str) -> Callable[[Mapping[str, Any]], bytes]:
    def draw(final: Mapping[str, Any]) -> bytes:
        from flame_flwr.cross_site import plots

        picture: bytes = getattr(plots, name)(final[CROSS_SITE])
        return picture

    return draw


CROSS_SITE_FILES = (
    ("cross_site.txt", "str", lambda final: summary(final[CROSS_SITE])),
    ("cross_site.csv", "str", lambda final: table(final[CROSS_SITE])),
    ("cross_site.png", "bytes", _drawn("draw_matrix")),
    ("roc.csv", "str", lambda final: curves(final[CROSS_SITE])),
    ("roc.png", "bytes", _drawn("draw_roc")),
)
"""Name, type and what makes it: the tables, the heat map and the ROC curves."""
