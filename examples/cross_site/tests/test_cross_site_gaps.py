"""With ``on-failure = "skip"`` a hospital may miss a round; all files are written, with gaps."""

import pytest

from cross_site.analysis import CrossSiteAnalyzer, CrossSiteStrategy
from cross_site.files import OUTPUTS
from cross_site.hospitals import MEASUREMENTS
from cross_site.settings import COMPARISON, filters
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.results import RunRecord

pytestmark = pytest.mark.exhaustive

ROUNDS = 4


def run_with_failures(splits, *iterations, untested=""):
    """Run four rounds of training; node-3 fails in these, and a node in the evaluation.

    Return study, record and files.
    """

    class Fails(CrossSiteAnalyzer):
        def analysis_method(self, data, aggregator_results):
            if self.id == "node-3" and self.num_iterations in iterations:
                raise ValueError("the disk is full")
            return super().analysis_method(data, aggregator_results)

        def evaluation_method(self, data, result):
            if self.id == untested:
                raise ValueError("the disk is full")
            return super().evaluation_method(data, result)

    plan = NodePlan(
        Fails,
        {"columns": MEASUREMENTS, "rounds": ROUNDS},
        data_type="s3",
        filters=tuple(filters(COMPARISON)),
    )
    strategy = CrossSiteStrategy(COMPARISON, MEASUREMENTS, ROUNDS)
    settings = RunSettings.from_config({"on-failure": "skip", "min-nodes": 2})
    record = RunRecord()
    with LocalGrid(plan, splits) as grid:
        strategy.start(grid, settings=settings, record=record)
    failed = [k + 1 for k in iterations] + [ROUNDS + 1] * bool(untested)
    assert [failure["round"] for failure in record.failures] == failed
    names = [name for name, _, _ in OUTPUTS]
    return strategy.study, record, dict(zip(names, record.result, strict=True))


@pytest.fixture(scope="module")
def missed_one(splits):
    """Node-3 misses round 3 of training, which is the fourth of all."""
    return run_with_failures(splits, 3)


def test_only_a_missed_round_is_empty_in_csv(missed_one, table):
    rows = table(missed_one[2]["rounds.csv"])
    assert len(rows) == ROUNDS * 4 * (len(COMPARISON) + 1)
    empty = [row for row in rows if row["accuracy"] == row["auc"] == row["loss"] == ""]
    # The common model of round 2 is scored in round 3, when the hospital did not answer.
    assert {(row["round"], row["site"], row["model"]) for row in empty} == {
        ("2", "node-3", "common"),
        ("3", "node-3", "local"),
    }
    assert len(empty) == len(COMPARISON) + 1
    assert "" not in [row[what] for row in rows if row not in empty for what in row]


def test_the_summary_says_why_an_epoch_is_missing(missed_one):
    lines = missed_one[2]["summary.txt"].splitlines()
    at = lines.index(next(line for line in lines if line.startswith("round ")))
    rounds = lines[at + 1 : at + 1 + ROUNDS]
    assert [line.split()[-2:] == ["-", "-"] for line in rounds] == [False, True, False, False]
    assert len({len(line) for line in rounds}) == 1
    assert "nan" not in missed_one[2]["summary.txt"]
    assert (
        "node-3 gave no answer in round 3. Unless its answer was only late, its own model has "
        "had 3 of 4 epochs."
    ) in lines


def test_missing_the_last_round_leaves_no_own_model(splits):
    study, _, made = run_with_failures(splits, 1, ROUNDS)
    assert study.matrix["own", "node-3"] == {}
    assert "gave no answer in rounds 1, 4. " in made["summary.txt"]
    assert "has had 2 of 4 epochs. It is not scored: it did not arrive." in made["summary.txt"]
    line = next(line for line in made["summary.txt"].splitlines() if "node-3 alone" in line)
    assert line.split()[2:] == ["-"] * 5


def test_missing_the_evaluation_keeps_rounds_and_own_model(splits, table):
    away = "node-0"
    study, _, made = run_with_failures(splits, untested=away)
    assert study.sites == ["node-0", "node-1", "node-2", "node-3"]
    rows = table(made["rounds.csv"])
    empty = {(row["round"], row["site"], row["model"]) for row in rows if row["auc"] == ""}
    assert empty == {(str(ROUNDS), away, "common")}
    scored = [(row["model"], row["site"]) for row in table(made["sites.csv"])]
    others = [site for site in study.sites if site != away]
    assert [site for model, site in scored if model == f"{away} alone"] == others
    assert [site for model, site in scored if model == f"{others[0]} alone"] == others
    lines = made["summary.txt"].splitlines()
    assert any(line.startswith(f"{away} gave no answer in the evaluation: no ") for line in lines)
    alone = next(line for line in lines if line.startswith(f"{away} alone")).split()[2:]
    dashes = [site == away for site in study.sites]
    assert [cell == "-" for cell in alone] == [*dashes, True]
    assert {row["mean_auc"] for row in table(made["comparison.csv"])} == {""}
    assert not any("nan" in made[name] for name in made if name.endswith((".csv", ".txt")))


def test_who_never_trains_is_still_asked_for_scores(splits):
    _, record, made = run_with_failures(splits, *range(1, ROUNDS + 1))
    assert "own/node-3/auc" not in record.evaluations["node-3"]
    assert "common/full/auc" in record.evaluations["node-3"]
    assert "has had 0 of 4 epochs." in made["summary.txt"]
