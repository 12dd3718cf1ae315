"""Features, agreement, scaling and the split, against pandas on the pooled data."""

import numpy as np
import pandas as pd
import pytest
from halta_reference import read, reference_run

from flame_flwr.errors import DataError
from halta.features import (
    agree,
    candidates,
    feature_matrix,
    held_out,
    is_symptom,
    moments,
    standardize,
)


def answer(**columns):
    table = pd.DataFrame(columns, dtype=float)
    names = candidates(table)
    return {"features": names, **moments(feature_matrix(table, names))}


@pytest.mark.parametrize(
    "name",
    [
        *("visit1_fatigue", "Fatigue", "acute_chest_pain", "visit2_hads_anxiety_score"),
        *("v1.cough", "acute.fever", "acute-fever", "acute fever", "acute.chest.pain"),
        *("acuteFever", "v1cough", "V2.Brain.Fog", "Chest pain (visit 1)"),
    ],
)
def test_symptoms(name):
    assert is_symptom(name)


@pytest.mark.parametrize(
    "name",
    [
        *("comorb_anxiety_disorder", "fatigue_comment", "cough_date", "hospain", "treat_pain"),
        *("icu", "comorb.anxiety", "cough.date", "feverDate", "Treat pain", "lab.throat"),
    ],
)
def test_no_symptoms(name):
    assert not is_symptom(name)


def test_dots_in_names_change_nothing(contents):
    """27 of 112 features were lost where a hospital writes ``v1.cough``."""
    table = read(contents[0])
    dotted = table.rename(columns=lambda name: name.replace("visit1_", "v1.").replace("_", "."))
    assert len(candidates(dotted)) == len(candidates(table)) > 80


def test_agreed_features_are_those_of_every_hospital(contents):
    answers = {}
    for number, content in enumerate(contents):
        table = read(content)
        names = candidates(table)
        answers[f"node-{number}"] = {
            "features": names,
            **moments(feature_matrix(table, names)),
        }
    agreement = agree(answers)
    assert agreement.features == reference_run(contents, rounds=0)[0]
    assert agreement.features == sorted(agreement.features)
    assert agreement.left_out["visit1_tinnitus"] == "no such column at node-0"
    assert agreement.left_out["visit2_leg_pain"] == "no such column at node-0, node-2"

    pooled = pd.concat(
        read(content).copy().assign(female=lambda t: t["sex"].map({"female": 1.0, "male": 0.0}))
        for content in contents
    )[agreement.features].astype(float)
    np.testing.assert_allclose(agreement.means, pooled.mean(), rtol=1e-13)
    np.testing.assert_allclose(agreement.deviations, pooled.std(ddof=0), rtol=1e-12)


def test_useless_features_are_left_out_with_reason():
    agreement = agree(
        {
            "a": answer(age=[50, 60], fever=[0.1, 0.1], cough=[np.nan, np.nan], rash=[0, 1]),
            "b": answer(age=[70, 80], fever=[0.1, 0.1], cough=[0, 1]),
        }
    )
    assert agreement.features == ["age"]
    assert agreement.means == pytest.approx([65.0])
    assert agreement.left_out == {
        "cough": "never filled in at a",
        "fever": "the same for every patient",
        "rash": "no such column at b",
    }


def test_no_common_features():
    with pytest.raises(DataError, match="have no feature in common"):
        agree({"a": answer(cough=[0, 1]), "b": answer(fever=[0, 1])})


def test_an_agreed_feature_that_is_gone():
    with pytest.raises(DataError, match="1 of the agreed features are not in this hospital's"):
        feature_matrix(pd.DataFrame({"age": [50.0]}), ["age", "visit1_cough"])


def test_impossible_ages_are_unknown():
    table = pd.DataFrame({"age": [-1.0, 0, 120, 121, np.nan]})
    np.testing.assert_array_equal(
        feature_matrix(table, ["age"])[:, 0], [np.nan, 0, 120, np.nan, np.nan]
    )


def test_standardize_puts_unknown_values_at_the_mean():
    matrix = np.array([[1.0, np.nan], [3.0, 8.0]])
    scaled = standardize(matrix, np.array([2.0, 5.0]), np.array([0.5, 3.0]))
    np.testing.assert_array_equal(scaled, [[-2, 0], [2, 1]])


def test_a_quarter_of_each_class_is_held_out():
    labels = np.array([1.0] * 41 + [0.0] * 22)
    chosen = held_out(labels, 0.25, seed=1)
    assert chosen[labels == 1].sum() == 10
    assert chosen[labels == 0].sum() == 5
    np.testing.assert_array_equal(chosen, held_out(labels, 0.25, seed=1))
    assert (chosen != held_out(labels, 0.25, seed=2)).any()


def test_a_class_of_one_stays_in_training():
    assert not held_out(np.array([1.0, 0.0, 0.0]), 0.25, seed=0).any()
