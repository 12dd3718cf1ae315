"""The study's numbers, against a loop without the framework."""

import csv
import io
import json
from datetime import date, timedelta

import numpy as np
import pytest
import torch
from journeys_reference import BINS, bin_of, reference, tables, tensor, vocabulary
from safetensors import safe_open
from safetensors.torch import load_file

from patient_journeys.analysis import mlp
from patient_journeys.events import (
    Axis,
    Journeys,
    code_counts,
    cohort_lines,
    read_journeys,
    temporal_tensor,
    top_codes,
)


@pytest.fixture(scope="module")
def plain(splits):
    before = torch.get_num_threads()
    try:
        return reference([split[0] for split in splits], 10)
    finally:
        torch.set_num_threads(before)


def test_the_codes_are_those_pandas_counts(study, splits):
    codes = vocabulary([tables(split[0]) for split in splits])
    assert study.aggregates[0]["codes"] == codes
    assert len(codes) == 30


def test_every_rounds_weights_are_the_loops_bits(study, plain):
    codes, path = plain
    assert [aggregate["codes"] for aggregate in study.aggregates] == [codes] * 11
    for ours, theirs in zip(study.aggregates[1:], path, strict=True):
        assert list(ours["model"]) == list(theirs["model"])
        for name, value in theirs["model"].items():
            assert ours["model"][name].dtype == np.float32
            np.testing.assert_array_equal(ours["model"][name], value.numpy())


def test_losses_and_accuracies_are_the_loops(study, plain, folder):
    rows = list(csv.DictReader(io.StringIO((folder / "rounds.csv").read_text())))
    assert len(rows) == 30
    for row in rows:
        there = plain[1][int(row["round"]) - 1]
        centre = int(row["centre"].removeprefix("node-"))
        assert float(row["loss"]) == pytest.approx(there["loss"][centre], rel=1e-12)
        assert float(row["accuracy"]) == pytest.approx(there["accuracy"][centre], rel=1e-12)


def test_no_centre_gets_what_others_report(study):
    assert set(study.aggregates[0]) == {"codes"}
    assert all(set(aggregate) == {"codes", "model"} for aggregate in study.aggregates[1:])


@pytest.mark.parametrize("number", range(3))
def test_a_tensor_is_what_an_event_loop_makes(study, splits, number):
    codes = study.aggregates[0]["codes"]
    ours = temporal_tensor(read_journeys(splits[number]), codes)
    assert ours.shape == (60, 21, 30)
    np.testing.assert_array_equal(ours, tensor(*tables(splits[number][0]), codes))


def test_a_bin_without_events_holds_the_fill_value(study, splits):
    codes = study.aggregates[0]["codes"]
    journeys, plain = read_journeys(splits[0]), tensor(*tables(splits[0][0]), codes)
    filled = temporal_tensor(journeys, codes, Axis(fill_value=-1))
    for patient in range(60):
        for number in range(BINS):
            had = plain[patient, number]
            np.testing.assert_array_equal(
                filled[patient, number], had if had.any() else np.full(30, -1)
            )
    assert (filled == -1).any()


def test_a_cohort_is_described_as_loops_count(study, splits):
    codes = study.aggregates[0]["codes"]
    patients, events = tables(splits[1][0])
    cells = tensor(patients, events, codes)
    events = events[[0 <= bin_of(day) < BINS for day in events["DATE"]]]
    kept = events["CODE"].isin(codes).sum()
    lines = cohort_lines(read_journeys(splits[1]), codes)
    assert lines == [
        f"Events : {kept:,} / {len(events):,} ({kept / len(events):.1%})",
        f"Codes : 30 of {events['CODE'].nunique()}",
        "Tensor shape : (60, 21, 30)",
        "Patients : 60",
        "Time bins : 21 of 360 days, from 2006-01-01",
        "Features : 30",
        f"Sparsity : {np.mean(cells == 0):.1%} empty cells",
        f"Non-zero cells : {np.count_nonzero(cells)}",
        f"Patients with events : {sum(each.any() for each in cells)} / 60",
    ]


def test_events_outside_the_axis_are_left_out(splits):
    journeys = read_journeys(splits[0])
    axis = Axis(journeys.events["DATE"].max(), 1, 1)
    found = temporal_tensor(journeys, top_codes(code_counts(journeys, 1), 30), axis)
    assert found.shape == (60, 1, 30)
    assert 0 < found.sum() <= 30
    narrow = read_journeys(splits[0], axis).events["DATE"]
    assert set(narrow) == {axis.start}
    assert axis.end == axis.start + timedelta(1)
    assert (Axis().start, Axis().end) == (date(2006, 1, 1), date(2026, 9, 13))


def test_a_code_of_few_patients_is_not_named(splits):
    journeys = read_journeys(splits[0])
    events = tables(splits[0][0])[1]
    counted = events[[0 <= bin_of(day) < BINS for day in events["DATE"]]].groupby("CODE")
    for least in (1, 20, 40):
        had = counted["PATIENT"].nunique()
        expected = counted.size()[had >= least].to_dict()
        assert code_counts(journeys, least) == expected
    few = Journeys(journeys.patients[:4], journeys.events)
    known = few.events.filter(few.events["PATIENT"].is_in(few.patients["PATIENT"].implode()))
    assert code_counts(Journeys(few.patients, known), 5) == {}


def test_pytorch_and_safetensors_read_the_model(study, folder, splits):
    weights = torch.load(folder / "model.pt", weights_only=True)
    model = mlp(30)
    model.load_state_dict(weights)
    last = study.aggregates[-1]["model"]
    for name, value in load_file(folder / "model.safetensors").items():
        np.testing.assert_array_equal(value.numpy(), last[name])
        assert torch.equal(value, model.state_dict()[name])
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["codes"]) == study.aggregates[0]["codes"]
    features = temporal_tensor(read_journeys(splits[0]), study.aggregates[0]["codes"]).mean(axis=1)
    with torch.no_grad():
        right = (model(torch.tensor(features)) >= 0.5).numpy() == read_journeys(splits[0]).male
    assert right.mean() > 0.7


def test_kept_patients_score_the_last_model(study):
    scores = study.tester.evaluations
    assert [scores[node]["n"] for node in scores] == [14, 14, 15]
    assert all(0 < each["loss"] < 0.7 for each in scores.values())


def test_the_picture_is_a_png(folder):
    assert (folder / "training.png").read_bytes().startswith(b"\x89PNG")


def test_codes_are_written_in_input_order(study, folder):
    rows = list(csv.DictReader(io.StringIO((folder / "codes.csv").read_text())))
    assert [row["code"] for row in rows] == study.aggregates[0]["codes"]
    assert [int(row["input"]) for row in rows] == list(range(30))


def test_it_trains_with_everybody_where_nobody_is_kept(run, splits):
    done = run(splits, rounds=1, test_share=0.0)
    assert done.tester.evaluations == {f"node-{i}": {"n": 0} for i in range(3)}
    assert done.tester.result[3].splitlines()[1].startswith("1,node-0,60,")
