"""The whole study in this process: coefficients, accuracies, report, plots, stopping."""

import json
import re
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from halta_reference import read, reference_run
from matplotlib.image import imread
from report_text import python_in

from halta import declared
from halta.analysis import RESULT_FILENAMES, HaltaAnalyzer
from halta.app import model
from halta.patients import LABEL_WEIGHTS
from halta.synthetic import hospital_files

SMALL = b"age,sex,visit1_fatigue,pasc\n" + b"50,female,1,1\n60,male,0,0\n" * 20


@pytest.fixture(scope="module")
def reference(contents):
    return reference_run(contents)


@pytest.fixture(scope="module")
def pooled(contents):
    return pd.concat([read(content) for content in contents], ignore_index=True)


def test_the_page_holds_no_python(study, folder):
    assert python_in((folder / "report.html").read_text()) == []


def entries(report, line, section="1. "):
    """Return the entries of one line of a table, behind the line's name."""
    text = report[report.index(f"\n{section}") :]
    found = re.search(rf"^{re.escape(line)}  +(.+)$", text, re.MULTILINE)
    return re.split(r"  +", found[1].strip())


# Training


def test_the_coefficients_are_those_of_a_plain_loop(study, reference):
    features, coef, intercept, _ = reference
    assert study.aggregate["features"] == features
    np.testing.assert_allclose(study.aggregate["coef"], coef, rtol=1e-12)
    assert study.aggregate["intercept"] == pytest.approx(intercept, rel=1e-12)


def test_a_second_run_gives_the_same_bits(study, splits, run, monkeypatch):
    monkeypatch.undo()  # with its pictures
    again = run(splits)
    assert again.aggregate["coef"].tobytes() == study.aggregate["coef"].tobytes()
    assert again.tester.result == study.tester.result


def test_it_stops_after_ten_training_rounds(study):
    assert study.tester.rounds == 11
    assert study.tester.converged
    assert study.aggregate["rounds"] == 10
    assert "because 10 rounds are" in " ".join(study.report.split())


def test_it_stops_when_the_coefficients_stand_still(splits, run):
    stopped = run(splits, aggregator_kwargs={"tolerance": 0.2})
    assert 1 < stopped.aggregate["rounds"] < 10
    assert stopped.aggregate["change"] < 0.2
    assert "because the weights no longer changed" in " ".join(stopped.report.split())


def test_the_model_finds_the_labels_own_features(study):
    strongest = np.argsort(-np.abs(study.aggregate["coef"]))[:6]
    names = {study.aggregate["features"][k] for k in strongest}
    assert len(names & set(LABEL_WEIGHTS)) >= 5


def test_no_hospital_receives_another_ones_counts(study):
    assert set(study.aggregate) == {
        *("features", "means", "deviations"),
        *("coef", "intercept", "rounds", "change"),
    }


# Accuracy


def test_evaluations_are_those_of_the_plain_loop(study, reference):
    for answer, (right, tested) in zip(study.evaluations, reference[3], strict=True):
        assert answer["n_test"] == tested
        assert answer["accuracy"] == right / tested
        assert answer["true_positive"] + answer["true_negative"] == right


def test_every_hospital_gains_over_the_majority_class(study):
    assert len(study.evaluations) == 3
    for answer in study.evaluations:
        assert 0.70 < answer["accuracy"] < 0.86
        assert answer["accuracy"] > answer["majority_accuracy"] + 0.10


def test_the_report_states_the_last_models_accuracy(study):
    right = sum(answer["accuracy"] * answer["n_test"] for answer in study.evaluations)
    tested = sum(answer["n_test"] for answer in study.evaluations)
    for site, answer in enumerate(study.evaluations):
        line = entries(study.report, f"node-{site}", "9. ")
        assert line[:3] == [
            str(answer["n_test"]),
            f"{100 * answer['accuracy']:.1f} %",
            f"{100 * answer['majority_accuracy']:.1f} %",
        ]
    assert entries(study.report, "all", "9. ")[:2] == [str(tested), f"{100 * right / tested:.1f} %"]


# Report


def test_the_report_counts_patients_and_columns(study, pooled, contents):
    tables = [read(content) for content in contents]
    assert entries(study.report, "Patients") == [*(str(len(t)) for t in tables), str(len(pooled))]
    assert entries(study.report, "Columns in the file") == [
        *(str(table.shape[1]) for table in tables),
        str(pooled.shape[1]),
    ]
    shares = [table.isna().to_numpy().mean() for table in tables]
    cells = [table.size for table in tables]
    shares.append(np.average(shares, weights=cells))
    assert entries(study.report, "Empty cells") == [f"{100 * share:.0f} %" for share in shares]


def test_the_report_counts_labels_sexes_and_ages(study, pooled):
    def shown(line, section):
        return entries(study.report, line, section)[-1]

    label = pooled["pasc"]
    assert shown("Long COVID", "4. ") == str((label == 1).sum())
    assert shown("no Long COVID", "4. ") == str((label == 0).sum())
    assert shown("not assessed", "4. ") == str(label.isna().sum())
    assert shown("share with Long COVID", "4. ") == f"{100 * label.mean():.0f} %"
    assert shown("female", "3. ") == str((pooled["sex"] == "female").sum())
    for low in range(20, 100, 5):
        count = pooled["age"].between(low, low + 4).sum()
        assert shown(f"{low}-{low + 4}", "2. ") == str(count)
    assert shown("100 or older", "2. ") == "<5"


def test_the_report_lists_missing_values(study, pooled):
    share = f"{100 * pooled['vax_3_date'].isna().mean():.0f} %"
    assert entries(study.report, "vax_3_date", "5. ")[-1] == share
    labs = [name for name in pooled.columns if name.startswith("lab_")]
    assert entries(study.report, f"laboratory values ({len(labs)})", "5. ")[-1] == (
        f"{100 * pooled[labs].isna().to_numpy().mean():.0f} %"
    )
    assert entries(study.report, "visit2_mood_swings", "5. ")[:2] == ["-", "-"]


def test_the_report_names_features_reasons_and_weights(study):
    report, features = study.report, study.aggregate["features"]
    assert f"The model uses the {len(features)} symptoms" in report
    assert all(name in report for name in features)
    assert "no such column at node-1, node-2:\n  visit1_exertion_fatigue" in report
    strongest = int(np.argmax(np.abs(study.aggregate["coef"])))
    weight = study.aggregate["coef"][strongest]
    assert entries(report, features[strongest], "8. ")[0] == f"{weight:+.3f}"


def test_the_report_hides_groups_below_five(study):
    tables = study.report[study.report.index("2. Age") : study.report.index("5. Missing")]
    for line in tables.splitlines():
        numbers = re.findall(r"(?<![\d<.-])\d+(?![\d.%-])", line[15:])
        assert not {int(number) for number in numbers} & {1, 2, 3, 4}, line
    assert "<5" in tables


def test_lines_fit_a_page(study):
    assert max(map(len, study.report.splitlines())) <= 90


def test_a_study_of_many_hospitals_still_fits(run):
    files = [[dict(hospital_files(2))]] * 9
    report = run(files, aggregator_kwargs={"max_iterations": 1}).report
    assert max(map(len, report.splitlines())) <= 90
    assert re.findall(r"^ +node-6 +node-7 +node-8 +all$", report, re.MULTILINE)


# Files


def test_four_files_of_two_types_in_order(study, folder):
    assert [type(content) for content in study.tester.result] == [bytes, str, bytes, bytes]
    for name, content in zip(RESULT_FILENAMES, study.tester.result, strict=True):
        expected = content.encode() if isinstance(content, str) else content
        assert (folder / name).read_bytes() == expected


def test_the_plots_are_pictures_of_a_sane_size(study):
    pictures = [study.tester.result[k] for k in (0, 2, 3)]
    for picture in pictures:
        pixels = imread(BytesIO(picture), format="png")
        height, width = pixels.shape[:2]
        assert 1000 < width < 2200
        assert 700 < height < 1200
        assert 20_000 < len(picture) < 200_000
        assert len(np.unique(pixels)) > 50  # something was drawn
    assert len(set(pictures)) == 3


def test_no_file_tells_a_count_the_report_hides(study, folder):
    answers = study.evaluations
    assert min(answer["false_negative"] for answer in answers) == 3  # there is one to be hidden
    assert "all but <5" in study.report
    written = {path.name: path for path in folder.rglob("*") if path.is_file()}
    assert {"run.json", "history.csv", "report.html"} < written.keys()
    about = json.loads(written["run.json"].read_text())
    rounds = about["history"]
    times = [time for each in rounds for time in (each["seconds"], *each["node_seconds"].values())]
    for name in written.keys() - set(RESULT_FILENAMES):
        text = written[name].read_bytes()
        for time in times:
            text = text.replace(repr(time).encode(), b"")
        assert not [key for key in answers[0] if key.encode() in text], name
        shares = [repr(answer["accuracy"])[:5].encode() for answer in answers]
        assert not [share for share in shares if share in text], name
    assert about["evaluations"] == {}
    assert [entry["node_metrics"] for entry in about["history"]] == [{}] * 11
    assert model.shown == declared.model.shown == ()


# Hospitals that differ


def test_one_hospital_alone(run):
    alone = run([[{"labeled.csv": SMALL}]])
    assert alone.aggregate["features"] == ["age", "female", "visit1_fatigue"]
    assert alone.evaluations[0]["accuracy"] == 1.0
    assert "1 hospital, 40 patients" in alone.report


def test_rows_without_a_label_neither_train_nor_test(run):
    more = SMALL + b"20,male,1,\n" * 12
    with_more, without = (run([[{"labeled.csv": text}]]) for text in (more, SMALL))
    assert with_more.aggregate["coef"].tobytes() == without.aggregate["coef"].tobytes()
    assert with_more.evaluations == without.evaluations
    assert entries(with_more.report, "not assessed", "4. ") == ["12", "12"]


def test_an_analyzer_keeps_nothing_of_the_patients():
    class Handle:
        def get_id(self):
            return "node-0"

        def get_role(self):
            return "default"

        def get_participant_ids(self):
            return []

        def flame_log(self, *_, **__):
            return None

    analyzer = HaltaAnalyzer(Handle())
    before = set(vars(analyzer))
    analyzer.analysis_method([{"labeled.csv": SMALL}], None)
    assert set(vars(analyzer)) == before
