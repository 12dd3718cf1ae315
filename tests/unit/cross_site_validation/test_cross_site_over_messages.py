"""Cross-site validation over messages: resumed, without a hospital, with one that forges."""

import math

import numpy as np
import pytest
from keeping_client import keeps

from flame_flwr.aggregation import MaxRounds, Plateau
from flame_flwr.aggregation.merged_round import MergedRound
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.cross_site import CROSS_SITE_FILES, CrossSite
from flame_flwr.cross_site.answers import kind_of, phase_tree
from flame_flwr.errors import AnswerError, ModelError
from flame_flwr.results.checkpoint import Checkpoint
from flame_flwr.results.run_record import RunRecord
from flame_flwr.sklearn import SklearnCrossSite
from flame_flwr.statistics import AUC
from flame_flwr.strategies import CyclicTraining

from .wards_apart import MODELS, NODES, SPLITS, Ward, fit, strategy


def over_messages(
    made, analyzer=Ward, most=20, folder=None, *, splits=SPLITS, resume=False, **settings
):
    record = RunRecord()
    if resume:
        settings |= {"resume": True, "checkpoint": str(folder)}
    with LocalGrid(NodePlan(analyzer, data_type="s3"), splits) as grid:
        made.start(
            grid,
            num_rounds=most,
            settings=RunSettings.from_config(settings),
            record=record,
            simple_analysis=False,
            checkpoint=None if folder is None else Checkpoint(str(folder), {"app": "a"}),
        )
    return record


def test_it_is_alike_over_messages(result):
    assert over_messages(strategy()).result["cross_site"] == result


def test_a_node_missing_a_round_leaves_gaps():
    class Missing(Ward):
        def own_model(self, data, aggregate, rounds):
            if self.id == "node-0":
                raise OSError("the disk is away")
            return super().own_model(data, aggregate, rounds)

        def decisions(self, model, data, aggregate):
            if self.id == "node-2":
                raise OSError("the disk is away")
            return super().decisions(model, data, aggregate)

    skip = {"on-failure": "skip", "min-nodes": 2}
    found = over_messages(strategy(), Missing, **skip).result["cross_site"]
    assert list(found.models) == ["node-1 alone", "node-2 alone", "common"]
    assert found.nodes == ["node-0", "node-1"]
    assert 0.5 < found.figures("common")["auc"] < 1


def test_a_convergence_remembers_over_a_checkpoint(tmp_path):
    def made():
        patience = Plateau("accuracy", 3, min_delta=2.0)
        return SklearnCrossSite(metrics=["accuracy"], convergence=patience | MaxRounds(9))

    whole = over_messages(made())
    assert len(whole.history) == 7  # one to agree, four for the patience, two of validation
    for cut in (2, 5, 6):
        folder = tmp_path / str(cut)
        strategy = made()
        with LocalGrid(NodePlan(Ward, data_type="s3"), SPLITS, keeps(cut)) as grid:
            for most, resume in ((cut, False), (20, True)):
                record = RunRecord()
                config = {"resume": True, "checkpoint": str(folder)} if resume else {}
                strategy = made()
                strategy.start(
                    grid,
                    num_rounds=most,
                    settings=RunSettings.from_config(config),
                    record=record,
                    simple_analysis=False,
                    checkpoint=Checkpoint(str(folder), {"app": "a"}),
                )
        assert record.resumed_after == cut
        assert record.result["cross_site"] == whole.result["cross_site"]


class Round(CrossSite, CyclicTraining):
    """As the page says of any declared strategy."""


def test_it_stands_in_front_of_any_declared_strategy(predictions, tmp_path):
    made = Round(metrics=["accuracy"], convergence=MaxRounds(4))
    analyzer = type("Known", (Ward,), {"classes": (0, 1)})
    record = over_messages(made, analyzer, folder=tmp_path / "kept")
    common = np.zeros(4)
    for _ in range(4):
        for ((x, y),) in SPLITS:
            common = fit(common, x[::2], y[::2])
    model = record.result["model"]
    np.testing.assert_allclose([*model["coef"][0], *model["intercept"]], common, rtol=1e-12)
    found = record.result["cross_site"]
    for ((x, y),), node in zip(SPLITS, NODES, strict=True):
        right = (x[1::2] @ common[:-1] + common[-1] >= 0) == (y[1::2] == 1)
        assert found.figures("common", node)["accuracy"] == pytest.approx(np.mean(right))
        own = found.figures(f"{node} alone", "node-0")["accuracy"]
        y, said = predictions[f"{node} alone"]["node-0"]
        assert own == pytest.approx(np.mean((said >= 0.5) == (y == 1)))


def forging(key, forged):
    """Ward, where node-1 answers something else under a key."""

    class Forging(Ward):
        def analysis_method(self, data, aggregate):
            said = super().analysis_method(data, aggregate)
            return {key: forged(said[key])} if key in said and self.id == "node-1" else said

    return Forging


ZERO = AUC.zero(100)


@pytest.mark.parametrize(
    ("phase", "answer", "says"),
    [
        ("own", 5, "its own model is made of other parts than the common one"),
        ("own", {}, "its own model is made of other parts than the common one"),
        ("scores", 5, "no scores of the models that it was sent"),
        ("scores", {"common": ZERO}, "no scores of the models that it was sent"),
        ("scores", {"own": {"\x1b[31m": ZERO}, "common": ZERO}, "no scores of the models"),
        ("scores", {"own": {"node-0": 1}, "common": ZERO}, "no AUC with 100 bins"),
        ("scores", {"own": {}}, "no AUC with 100 bins"),
        ("scores", {"own": {}, "common": AUC.zero(10)}, "no AUC with 100 bins"),
        ("scores", {"own": {}, "common": AUC.zero(100, 0, 2)}, "no AUC with 100 bins"),
    ],
)
def test_what_no_node_answers_is_refused(phase, answer, says):
    merged = MergedRound(1, NODES, phase_tree(phase, 100, kind_of({"coef": 1.0})))
    with pytest.raises(AnswerError, match=f"node-0: .*{says}"):
        merged.add("node-0", {phase: answer})


@pytest.mark.parametrize("key", ["agreement", "own", "scores"])
def test_a_forged_answer_fails_its_node(key):
    skip = {"on-failure": "skip", "min-nodes": 2}
    record = over_messages(strategy(rounds=1), forging(key, lambda said: 5), **skip)
    found = record.result["cross_site"]
    assert found.nodes == (["node-0", "node-2"] if key == "scores" else NODES)
    assert ("node-1 alone" in found.models) is (key != "own")
    assert [list(entry.failed) for entry in record.history if entry.failed] == [["node-1"]]


def test_a_model_nobody_scores_has_no_figures():
    """And it ends no run."""
    analyzer = forging("own", lambda own: own | {"coef": np.zeros((1, 7))})
    skip = {"on-failure": "skip", "min-nodes": 2}
    made = strategy(rounds=1, outputs=[*CROSS_SITE_FILES, ("all.pkl", "pickle", lambda one: one)])
    summary, table, *pictures, final = over_messages(made, analyzer, **skip).result
    found = final["cross_site"]
    assert found.nodes == ["node-0", "node-2"]  # a node must be able to score its own
    assert list(found.models) == MODELS
    assert 0.5 < found.figures("node-2 alone", "node-0")["auc"] <= 1
    for node in (*found.nodes, "all"):
        figures = found.figures("node-1 alone", node)
        assert math.isnan(figures["auc"])
        assert math.isnan(figures["accuracy"])
        assert (figures["positives"], figures["negatives"]) == (0, 0)
        assert f"node-1 alone,{node},0,0,,,,\n" in table
    assert [line.split()[2:] for line in summary.splitlines() if line.startswith("node-1")] == [
        ["-", "-", "-"]
    ] * 2
    assert all(len(picture) > 10_000 for picture in pictures)


def test_other_than_two_classes_end_round_1():
    three = [[(x, np.arange(len(y)) % 3)] for ((x, y),) in SPLITS]
    with pytest.raises(ModelError, match="classifiers of two classes"):
        over_messages(strategy(), splits=three, most=1)
