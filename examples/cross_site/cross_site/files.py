"""The files of the study: tables as CSV, pictures, the models, and a page of text."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from cross_site import plots
from cross_site.study import METRICS, Study

__all__ = ["OUTPUTS", "comparison", "models", "rounds", "sites", "summary", "weights"]

_MODEL, _SCORE, _PAIR = 42, 9, 20
"""Characters that columns of the summary have at least; with long names they have more."""


def rounds(study: Study) -> str:
    """Return the scores per round, hospital and setting, on the hospital's test rows.

    ``common`` is the common model after the round; ``local`` the hospital's model right after its
    fit in that round, before it is averaged (first setting only). Where a hospital did not answer,
    cells are empty.
    """
    lines: list[list[Any]] = []
    first = study.settings[0].key
    for number, (local, common) in enumerate(zip(study.local, study.common, strict=True), start=1):
        for site in study.sites:
            for each in study.settings:
                scores = common.get(site, {}).get(each.key, {})
                lines.append([number, site, each.key, "common", *_cells(scores)])
            lines.append([number, site, first, "local", *_cells(local.get(site, {}))])
    return _csv(["round", "site", "setting", "model", *METRICS], lines)


def sites(study: Study) -> str:
    """Return the cross-site matrix: every model, scored on every hospital's test rows."""
    lines = [
        [_called(study, kind, name), site, study.n_test[site], *(scores[m] for m in METRICS)]
        for (kind, name), by_site in study.matrix.items()
        for site, scores in by_site.items()
    ]
    return _csv(["model", "site", "test_rows", *METRICS], lines)


def comparison(study: Study) -> str:
    """Return the final scores of every setting: the mean over hospitals, and the lowest.

    Where a hospital did not answer the evaluation, the mean's cell is empty.
    """
    lines: list[list[Any]] = []
    for each in study.settings:
        scores = study.matrix["common", each.key]
        averages = [study.row(("common", each.key), what)[-1] for what in METRICS]
        means = ["" if math.isnan(average) else average for average in averages]
        worst = [min(site[what] for site in scores.values()) for what in ("accuracy", "auc")]
        lines.append([each.key, each.share, each.weight, *means, *worst])
    names = [f"mean_{what}" for what in METRICS]
    return _csv(
        ["setting", "share_returned", "weighted_by", *names, "lowest_accuracy", "lowest_auc"], lines
    )


def weights(study: Study) -> str:
    """Return the common weights after every round; numbers are written so that none is lost."""
    lines = [
        [number, each.key, *models[each.key]["intercept"].tolist(), *_coef(models[each.key])]
        for number, models in enumerate(study.weights, start=1)
        for each in study.settings
    ]
    count = len(study.scaling["mean"])
    names = list(_columns(study) or [f"coef_{k}" for k in range(count)])
    return _csv(["round", "setting", "intercept", *names], lines)


def models(study: Study) -> str:
    """Return the final common models as JSON, with the scaling that they must be used with."""
    about = {
        "use": "log odds of being ill = intercept + sum(coef * (value - mean) / std)",
        "columns": _columns(study),
        "mean": study.scaling["mean"].tolist(),
        "std": study.scaling["std"].tolist(),
        "models": {
            each.key: {
                "intercept": float(study.weights[-1][each.key]["intercept"][0]),
                "coef": _coef(study.weights[-1][each.key]),
            }
            for each in study.settings
        },
    }
    return json.dumps(about, indent=1)


def summary(study: Study) -> str:
    """Return the tables that one looks at first, as text."""
    first = study.settings[0]
    parts = [f"The common model ({first.text}) after every round, on each hospital's test rows", ""]
    names = [f"{site} acc   auc" for site in study.sites]
    pair = max(_PAIR, *(len(name) + 2 for name in names))
    parts.append("round  " + "".join(f"{name:>{pair}}" for name in names))
    for number, common in enumerate(study.common, start=1):
        cells = zip(*(study.after(common, first.key, what) for what in METRICS[:2]), strict=True)
        shown = [_shown(f"{accuracy:5.3f} {auc:5.3f}") for accuracy, auc in cells]
        parts.append(f"{number:5}  " + "".join(f"{cell:>{pair}}" for cell in shown))
    parts += _gaps(study)
    for what, title in (("accuracy", "Accuracy"), ("auc", "AUC")):
        parts += ["", f"{title}: each model on each hospital's test rows", "", *_table(study, what)]
    return "\n".join(parts) + "\n"


def _table(study: Study, what: str) -> list[str]:
    """Return the cross-site matrix of one score, line by line."""
    called = {model: _called(study, *model) for model in study.matrix}
    first = max(_MODEL, *(len(name) + 1 for name in called.values()))
    width = max(_SCORE, *(len(site) + 2 for site in study.sites))
    lines = [f"{'model':{first}}" + "".join(f"{name:>{width}}" for name in [*study.sites, "mean"])]
    for model, name in called.items():
        cells = "".join(f"{value:{width}.3f}" for value in study.row(model, what))
        lines.append(f"{name:{first}}{_shown(cells)}")
    return lines


def _gaps(study: Study) -> list[str]:
    """Return what is to be said of hospitals that did not answer in every round."""
    missed = study.missed()
    away = [site for site in study.sites if site not in study.n_test]
    if not missed and not away:
        return []
    total = len(study.local)
    said = [""]
    later = any(numbers[-1] > 1 for numbers in missed.values())  # in round 1 nothing is scored
    if away or later:
        said.append("-: not scored. A hospital scores a round's model when it answers in the next.")
    for site, numbers in missed.items():
        rounds = f"round{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
        arrived = "" if study.matrix["own", site] else " It is not scored: it did not arrive."
        said.append(
            f"{site} gave no answer in {rounds}. Unless its answer was only late, its own model "
            f"has had {total - len(numbers)} of {total} epochs.{arrived}"
        )
    said += [
        f"{site} gave no answer in the evaluation: no final model is scored there, and means over "
        "all hospitals are missing."
        for site in away
    ]
    return said


def _columns(study: Study) -> list[str] | None:
    """Return what the measurements are called, where that is known of these files."""
    columns = list(study.columns or ())
    return columns if len(columns) == len(study.scaling["mean"]) else None


def _shown(line: str) -> str:
    return line.replace("nan", "  -")


def _cells(scores: Mapping[str, float]) -> list[float | str]:
    return [scores.get(what, "") for what in METRICS]


def _called(study: Study, kind: str, name: str) -> str:
    if kind == "own":
        return f"{name} alone"
    return "common: " + next(each.text for each in study.settings if each.key == name)


def _coef(model: Any) -> list[float]:
    return [float(value) for value in model["coef"][0]]


def _csv(header: list[str], lines: Iterable[list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)  # floats as repr writes them: read again, they are the same
    return text.getvalue()


OUTPUTS = (
    ("summary.txt", "str", summary),
    ("rounds.csv", "str", rounds),
    ("rounds.png", "bytes", plots.draw_rounds),
    ("sites.csv", "str", sites),
    ("sites.png", "bytes", plots.draw_sites),
    ("comparison.csv", "str", comparison),
    ("comparison.png", "bytes", plots.draw_comparison),
    ("weights.csv", "str", weights),
    ("models.json", "str", models),
)
"""Every file: its name, its type, and what makes it of the study."""
