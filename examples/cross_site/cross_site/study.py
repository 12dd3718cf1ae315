"""What a run has found: weights and scores of every round, and of every model at every hospital."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cross_site.settings import Setting

__all__ = ["METRICS", "Study"]

METRICS = ("accuracy", "auc", "loss")

Scores = Mapping[str, float]


@dataclass
class Study:
    """Filled round by round.

    Parameters
    ----------
    settings : sequence of Setting
        What is compared.

    Attributes
    ----------
    weights : list of dict
        After each round of training, the common model by setting.
    local : list of dict
        In each round, by hospital: the scores of its model right after the fit, as on the slides.
        A hospital that did not answer in a round is not in it.
    common : list of dict
        After each round, by hospital and setting: the scores of the common model. A hospital
        scores it in the next round; if it did not answer there, it is not in it.
    matrix : dict
        By model (``own``, hospital) or (``common``, setting), by hospital: the final scores. Where
        own models did not travel, each has been scored at its own hospital only.
    n_test : dict
        Test rows by hospital, of those that have answered the evaluation.
    scaling, columns
        What a model must be used with.
    """

    settings: Sequence[Setting]
    weights: list[dict[str, Any]] = field(default_factory=list)
    local: list[dict[str, Scores]] = field(default_factory=list)
    common: list[dict[str, dict[str, Scores]]] = field(default_factory=list)
    matrix: dict[tuple[str, str], dict[str, Scores]] = field(default_factory=dict)
    n_test: dict[str, int] = field(default_factory=dict)
    scaling: dict[str, Any] = field(default_factory=dict)
    columns: Sequence[str] | None = None

    @property
    def sites(self) -> list[str]:
        """The hospitals that have answered at all, in participant order."""
        found: list[str] = []
        rounds: list[Iterable[str]] = [*self.local, self.n_test]
        for answered in rounds:  # each of them in participant order
            at = 0
            for site in answered:
                if site not in found:
                    found.insert(at, site)
                at = found.index(site) + 1
        return found

    def add(self, weights: Any, local: Any, received: Any) -> None:
        """Take a round: new common weights, local scores, and scores of the round before."""
        self.weights.append(weights)
        self.local.append(local)
        if any(received.values()):  # not in the first round, whose common weights are zero
            self.common.append(received)

    def end(
        self,
        aggregate: Any,
        evaluations: Mapping[str, Mapping[str, float]],
        columns: Sequence[str] | None,
    ) -> None:
        """Take the final scores, which are those of the last round's weights, too."""
        self.scaling, self.columns = aggregate["scaling"], columns
        self.n_test = {node: int(scores["n_test"]) for node, scores in evaluations.items()}
        models = [("own", node) for node in self.sites]
        models += [("common", each.key) for each in self.settings]
        self.matrix = {
            (kind, name): {
                node: {what: scores[f"{kind}/{name}/{what}"] for what in METRICS}
                for node, scores in evaluations.items()
                if f"{kind}/{name}/auc" in scores
            }
            for kind, name in models
        }
        self.common.append(
            {
                node: {each.key: self.matrix["common", each.key][node] for each in self.settings}
                for node in evaluations
            }
        )

    def after(self, common: Mapping[str, Mapping[str, Scores]], key: str, what: str) -> list[float]:
        """Return a score per hospital of one entry of `common`, by setting; NaN: not scored."""
        return [common[site][key][what] if site in common else math.nan for site in self.sites]

    def missed(self) -> dict[str, list[int]]:
        """Return the rounds of training, from 1 on, in which a hospital did not answer."""
        numbered = list(enumerate(self.local, start=1))
        rounds = {site: [k for k, local in numbered if site not in local] for site in self.sites}
        return {site: found for site, found in rounds.items() if found}

    def row(self, model: tuple[str, str], what: str) -> list[float]:
        """Return a row of the matrix: a score per hospital, and their mean; NaN: not scored."""
        scores = self.matrix[model]
        values = [scores[site][what] if site in scores else math.nan for site in self.sites]
        return [*values, sum(values) / len(values)]
