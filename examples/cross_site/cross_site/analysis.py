"""What a hospital does, and what is made of it on the server.

Round 1 agrees on a scaling. In the ten rounds after it every hospital trains one epoch from the
common weights, and their mean becomes the next ones. Then every model is scored at every hospital.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import SGDClassifier

from cross_site.classifier import SGD, score
from cross_site.files import OUTPUTS
from cross_site.settings import COMPARISON, Setting, reductions
from cross_site.study import Study
from cross_site.table import Patients, read_both
from flame_flwr.aggregation import MaxRounds, PerNode
from flame_flwr.errors import DataError
from flame_flwr.sklearn import Rows, SklearnAnalyzer, train, zero_weights
from flame_flwr.sklearn.training import Weights
from flame_flwr.statistics import Moments
from flame_flwr.strategies import ReduceStrategy

__all__ = ["ROUNDS", "CrossSiteAnalyzer", "CrossSiteStrategy", "compare_columns"]

ROUNDS = 10
"""Rounds of training, as on the slides; one more before them agrees on the scaling."""


class CrossSiteAnalyzer(SklearnAnalyzer):
    """Trains and scores at one hospital.

    Parameters
    ----------
    flame : object
        The framework's handle.
    columns : sequence of str, optional
        What the measurements are called; without it, all columns but the label.
    settings : sequence of Setting
        What is compared.
    rounds : int
        Rounds of training.
    share_own : bool
        Whether the hospital's own model leaves, after the last round, to be scored at the others.
        Without it, it is scored here only.
    sgd : dict, optional
        In place of some of :data:`cross_site.classifier.SGD`.
    files : str
        How the files are called, see :mod:`cross_site.naming`.

    Attributes
    ----------
    own : Weights or None
        The hospital's own model, which has seen no weights of the others. It stays here until the
        last round.
    """

    classes = (0, 1)

    def __init__(
        self,
        flame: Any,
        columns: Sequence[str] | None = None,
        settings: Sequence[Setting] = COMPARISON,
        rounds: int = ROUNDS,
        share_own: bool = True,
        sgd: Mapping[str, Any] | None = None,
        files: str = "",
    ) -> None:
        super().__init__(flame)
        self.columns = columns
        self.settings = tuple(settings)
        self.rounds = rounds
        self.share_own = share_own
        self.sgd = dict(sgd or {})
        self.files = files
        self.own: Weights | None = None

    def estimator(self) -> SGDClassifier:
        """Return the classifier of the slides."""
        return SGDClassifier(**{**SGD, **self.sgd})

    def dataset(self, data: Any) -> tuple[Any, Any]:
        """Return the rows that are trained with, as they stand in the file."""
        training, _ = read_both(data, self.columns, self.files)
        return training.x, training.y

    def analysis_method(self, data: Any, aggregator_results: Any) -> dict[str, Any]:
        """Say how the measurements are distributed; later, train one epoch from common weights.

        Returns
        -------
        dict
            In the first round ``columns``, how many and a hash of their names, and ``moments``.
            Then ``n``, the rows trained with; ``models``, per setting the weights after the epoch;
            ``received``, per setting the scores of the weights it came with; ``local``, those of
            the first setting's weights after the epoch; ``own``, in the last round.

        Raises
        ------
        flame_flwr.errors.DataError
            The data is not what the analysis needs, or training went out of bounds.
        """
        training, test = read_both(data, self.columns, self.files)
        if aggregator_results is None:
            names = hashlib.sha256("\n".join(training.columns).encode()).hexdigest()
            moments = [Moments.from_data(column) for column in training.x.T]
            return {"columns": {"number": len(moments), "names": names}, "moments": moments}
        x, x_test = (_scaled(each, aggregator_results) for each in (training, test))
        received = aggregator_results["models"]
        rows, model = Rows(x, training.y, np.array(self.classes)), self.estimator()
        fitted = {each.key: train(self, model, received[each.key], rows) for each in self.settings}
        self.own = train(self, model, self.own or zero_weights(model, rows), rows)
        result: dict[str, Any] = {
            "n": len(training.y),
            "models": {
                each.key: {**fitted[each.key], **_weight(each, fitted[each.key], x, training)}
                for each in self.settings
            },
            "local": score(fitted[self.settings[0].key], x_test, test.y),
            "received": {},
            "own": None,
        }
        if self.num_iterations > 1:  # before, the common weights are zero
            for key, model in received.items():
                result["received"][key] = score(model, x_test, test.y)
        if self.share_own and self.num_iterations == self.rounds:
            result["own"] = self.own
        self._report(result["local"], result["received"].get(self.settings[0].key, {}))
        return result

    def evaluation_method(self, data: Any, result: Any) -> dict[str, float]:
        """Score the final common models, and every hospital's own, on this hospital's test rows.

        Returns
        -------
        dict of str to number
            ``n_test``, and ``accuracy``, ``auc`` and ``loss`` of each model, such as
            ``common/full/auc`` and ``own/node-0/auc``.
        """
        _, test = read_both(data, self.columns, self.files)
        x = _scaled(test, result)
        models = {("common", key): model for key, model in result["models"].items()}
        own = result.get("own") or {self.id: self.own}
        models |= {("own", node): model for node, model in own.items() if model is not None}
        scores: dict[str, float] = {"n_test": len(test.y)}
        for (kind, name), model in models.items():
            for what, value in score(model, x, test.y).items():
                scores[f"{kind}/{name}/{what}"] = value
        return scores

    def _report(self, local: Mapping[str, float], common: Mapping[str, float]) -> None:
        """Show the first setting's scores in the round's line and in TensorBoard."""
        self.flame.report_metrics(local)
        self.flame.report_metrics({f"common_{what}": value for what, value in common.items()})


class CrossSiteStrategy(ReduceStrategy):
    """Averages every setting's models, and writes what the scores say.

    Parameters
    ----------
    settings : sequence of Setting
        What is compared; the same as the analyzer's.
    columns : sequence of str, optional
        What the measurements are called, for the file with the models.
    rounds : int
        Rounds of training.

    Attributes
    ----------
    study : Study
        Weights and scores of every round so far.
    """

    def __init__(
        self,
        settings: Sequence[Setting] = COMPARISON,
        columns: Sequence[str] | None = None,
        rounds: int = ROUNDS,
    ) -> None:
        super().__init__(
            {
                "models": reductions(settings),
                "local": PerNode(),
                "received": PerNode(),
                "own": PerNode(),
            },
            first=PerNode(),
            convergence=MaxRounds(rounds + 1),
            outputs=OUTPUTS,
        )
        self.settings = tuple(settings)
        self.columns = columns
        self.study = Study(self.settings)

    def update(self, merged: Any, last: Any) -> dict[str, Any]:
        """Agree on the scaling in the first round; then hand out the new common weights.

        Scores stay here. Every hospital's own weights go out once, after the last round.
        """
        if last is None:
            self.study = Study(self.settings)
            scaling = _agree(merged)
            n_measurements = len(scaling["mean"])
            zero = {"coef": np.zeros((1, n_measurements)), "intercept": np.zeros(1)}
            models = {each.key: zero for each in self.settings}
            return {"scaling": scaling, "models": models}
        self.study.add(merged["models"], merged["local"], merged["received"])
        common = {"scaling": last["scaling"], "models": merged["models"]}
        own = {node: model for node, model in merged["own"].items() if model is not None}
        return {**common, "own": own} if own else common

    def finalize(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Study:
        """Hand over what the files are made of."""
        self.study.end(aggregate, evaluations, self.columns)
        return self.study


def _scaled(patients: Patients, aggregate: Any) -> Any:
    scaling = aggregate["scaling"]
    return (patients.x - scaling["mean"]) / scaling["std"]


def _weight(setting: Setting, model: Weights, x: Any, patients: Patients) -> dict[str, float]:
    """Return the score that a model is weighted by: not of the test rows, which only test."""
    return {"score": score(model, x, patients.y)["auc"]} if setting.weight == "score" else {}


def compare_columns(columns: Mapping[str, tuple[int, str]]) -> None:
    """Look whether all hospitals have the same measurements.

    Parameters
    ----------
    columns : dict
        By hospital, how many measurements it has and a hash of their names.

    Raises
    ------
    DataError
        They have not; the message names the hospitals.
    """
    by_columns: dict[tuple[int, str], list[str]] = {}
    for node, found in columns.items():
        by_columns.setdefault(found, []).append(node)
    if len(by_columns) > 1:
        (first, _), *others = by_columns
        like = next(iter(by_columns.values()))[0]
        told = {key: f"{key[0]}" for key in by_columns} | {
            key: f"{key[0]}, with other names or in another order than at {like}"
            for key in others
            if key[0] == first
        }
        said = "; ".join(f"{', '.join(nodes)}: {told[key]}" for key, nodes in by_columns.items())
        raise DataError(
            f"The hospitals have different measurements, so no model fits all of them ({said}). "
            "Give all their files the same columns in the same order, or name them in COLUMNS of "
            "app.py: then every hospital looks before round 1."
        )


def _agree(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the hospitals' moments to means and deviations over all training rows.

    Raises
    ------
    DataError
        The hospitals have different measurements; the message names them.
    """
    said = {node: answer["columns"] for node, answer in answers.items()}
    compare_columns({node: (each["number"], each["names"]) for node, each in said.items()})
    columns = zip(*(answer["moments"] for answer in answers.values()), strict=True)
    merged = [functools.reduce(Moments.merge, column).result() for column in columns]
    deviations = np.array([each["std"] for each in merged], dtype=np.float64)
    return {
        "mean": np.array([each["mean"] for each in merged], dtype=np.float64),
        "std": np.where(deviations > 0, deviations, 1.0),  # what never varies says nothing
    }
