"""The numbers: in process and in a plain loop."""

import json

import numpy as np
import pytest
from cross_site_reference import SETTINGS, assert_weights, reference_run

from cross_site.settings import COMPARISON


@pytest.fixture(scope="module")
def reference(contents):
    return reference_run(contents)


def test_in_process_each_round_is_the_plain_loop(files, table, reference):
    rows = table(files["weights.csv"])
    assert len(rows) == 10 * len(SETTINGS)
    assert_weights(rows, reference[0])


def test_scores_per_round_are_the_plain_loops(files, table, reference):
    rows = [row for row in table(files["rounds.csv"]) if row["model"] == "common"]
    assert len(rows) == 10 * len(SETTINGS) * 4
    for row in rows:
        site = int(row["site"].removeprefix("node-"))
        expected = reference[2][row["setting"]][int(row["round"]) - 1][site]
        assert [float(row["accuracy"]), float(row["auc"])] == pytest.approx(expected, rel=1e-12)


def test_the_matrix_is_that_of_the_plain_loop(files, table, reference):
    rows = table(files["sites.csv"])
    names = [*range(4), *SETTINGS]
    assert len(rows) == len(names) * 4
    for k, row in enumerate(rows):
        expected = reference[1][names[k // 4]][k % 4]
        assert row["site"] == f"node-{k % 4}"
        assert [float(row["accuracy"]), float(row["auc"])] == pytest.approx(expected, rel=1e-12)


def test_local_scores_of_round_1_are_hospitals_alone(files, table, run, splits):
    """The first fit starts at zero for everybody, so it is also the own model's first epoch."""
    local = [row for row in table(files["rounds.csv"]) if row["model"] == "local"][:4]
    alone = run(splits, settings=COMPARISON[:1], rounds=1).evaluations
    assert len(local) == 4
    for row in local:
        site = row["site"]
        assert float(row["auc"]) == alone[site][f"own/{site}/auc"]


def test_the_evaluation_scores_the_final_model_too(study, files, table):
    last = [row for row in table(files["rounds.csv"]) if row["round"] == "10"]
    common = [row for row in last if row["model"] == "common"]
    assert {row["site"] for row in common} == set(study.evaluations)
    for row in common:
        scored = study.evaluations[row["site"]][f"common/{row['setting']}/auc"]
        assert float(row["auc"]) == scored


def test_the_models_file_needs_no_framework(files, contents, study):
    about = json.loads(files["models.json"])
    lines = contents[2]["test.csv"].decode().splitlines()
    values = np.array([line.split(",") for line in lines[1:]], dtype=float)
    model = about["models"]["full"]
    scaled = (values[:, :-1] - about["mean"]) / about["std"]
    odds = scaled @ model["coef"] + model["intercept"]
    accuracy = ((odds > 0) == (values[:, -1] == 1)).mean()
    assert accuracy == study.evaluations["node-2"]["common/full/accuracy"]
    assert about["columns"] == lines[0].split(",")[:-1]


def test_only_the_largest_changes_return(run, splits):
    """Of 31 weights 4 return of each hospital: at most 16 differ from zero after a round."""
    tester = run(splits, settings=COMPARISON[2:3], rounds=1)
    model = tester.aggregate["models"]["top10"]
    changed = np.count_nonzero(model["coef"]) + np.count_nonzero(model["intercept"])
    assert 4 <= changed <= 16
    about = tester.filters["node-1"]["filters"]
    assert [each["filter"] for each in about] == ["TopFraction"]


def test_own_models_may_stay_at_home(run, splits):
    tester = run(splits, settings=COMPARISON[1:2], share_own=False, rounds=2)
    assert "own" not in tester.aggregate
    assert "own/node-1/auc" in tester.evaluations["node-1"]
    assert "own/node-0/auc" not in tester.evaluations["node-1"]
    shown = tester.result[0][tester.result[0].index("AUC: ") :]
    (line,) = [line for line in shown.splitlines() if line.startswith("node-1 alone")]
    assert line.count(" -") == 4  # three other hospitals, and no mean over all


def test_with_own_models_nothing_but_weights_goes_out(study):
    assert set(study.aggregate) == {"scaling", "models", "own"}
    for model in [*study.aggregate["models"].values(), *study.aggregate["own"].values()]:
        assert {key: value.shape for key, value in model.items()} == {
            "coef": (1, 30),
            "intercept": (1,),
        }
