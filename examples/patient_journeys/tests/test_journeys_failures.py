"""Centres that are not as the study expects."""

import io
import re

import numpy as np
import pandas as pd
import pytest

from flame_flwr.errors import DataError, FlameError, ModelError, NodeFailedError
from flame_flwr.failure.failure import Failure
from flame_flwr.star import StarModelTester
from patient_journeys.analysis import JourneyAnalyzer, JourneyStrategy
from patient_journeys.app import EXPECTED
from patient_journeys.events import (
    OBSERVATIONS,
    PATIENTS,
    code_counts,
    read_journeys,
    temporal_tensor,
    top_codes,
)

pytestmark = pytest.mark.exhaustive


def changed(split, patients=None, observations=None):
    """Return a centre's files with one table changed by a function of a DataFrame."""
    files = dict(split[0])
    for name, change in ((PATIENTS, patients), (OBSERVATIONS, observations)):
        if change is not None:
            table = change(pd.read_csv(io.BytesIO(files[name]), dtype=str))
            files[name] = table.to_csv(index=False).encode()
    return [files]


def failure(run, splits, **arguments):
    """Run the study, which must fail; return the error and what of it may leave a node."""
    with pytest.raises(FlameError) as caught:
        run(splits, rounds=2, **arguments)
    leaves = str(Failure.of(caught.value, share=False))
    values = ["Muster", "Example Street", "999-", *_ids(splits)]
    assert not [value for value in values if value in leaves]
    return caught.value, leaves


def _ids(splits):
    return [
        name
        for split in splits
        for name in re.findall(r"[0-9a-f-]{36}", split[0][PATIENTS].decode())
    ]


@pytest.fixture
def named():
    """Tell which node an error that came through says it is about."""

    def of(error):
        return " ".join([str(error), *getattr(error, "__notes__", ())])

    return of


def test_a_centre_may_lack_one_code(run, splits):
    codes = top_codes(code_counts(read_journeys(splits[2]), 5), 30)
    gone = codes[3]
    without = changed(splits[2], observations=lambda table: table[table["CODE"] != gone])
    done = run([splits[0], splits[1], without], rounds=2)
    assert gone in done.aggregates[0]["codes"]
    column = done.aggregates[0]["codes"].index(gone)
    cube = temporal_tensor(read_journeys(without), done.aggregates[0]["codes"])
    assert cube.shape == (60, 21, 30)
    assert cube[:, :, column].sum() == 0
    assert cube.sum(axis=(0, 1))[[i for i in range(30) if i != column]].min() > 0
    assert np.isfinite(done.aggregates[-1]["model"]["0.weight"]).all()


def test_a_centre_with_one_sex_is_named(run, splits, named):
    men = changed(splits[1], patients=lambda table: table[table["GENDER"] == "M"])
    error, leaves = failure(run, [splits[0], men, splits[2]])
    assert isinstance(error, DataError)
    assert "node-1" in named(error)
    assert "all of this centre's patients have the same sex" in leaves
    women = changed(splits[1], patients=lambda table: table[table["GENDER"] == "F"])
    assert failure(run, [splits[0], women, splits[2]])[1] == leaves  # it does not tell which


def test_a_centre_with_no_patients_is_named(run, splits, named):
    nobody = changed(splits[2], patients=lambda table: table[:0])
    error, leaves = failure(run, [splits[0], splits[1], nobody])
    assert "node-2" in named(error)
    assert "patients.csv has no patients" in leaves


def test_no_patients_are_found_before_the_first_round(splits):
    nobody = changed(splits[2], patients=lambda table: table[:0])
    with pytest.raises(NodeFailedError, match=r"node-2.*patients.csv has no patients: leave"):
        StarModelTester(
            [splits[0], nobody, nobody], JourneyAnalyzer, JourneyStrategy, "s3", expects=EXPECTED
        )


STRANGERS = "No observation is of a patient of this centre: PATIENT in observations.csv must be"


@pytest.mark.parametrize(
    ("observations", "says"),
    [
        (lambda t: t.assign(PATIENT=t["PATIENT"].str.upper()), STRANGERS),
        (lambda t: t.assign(DATE="1999" + t["DATE"].str[4:]), "axis, 2006-01-01 to 2026-09-12"),
        (lambda t: t[:0], "observations.csv has no observations: fill it, or leave this"),
        (lambda t: t.assign(CODE=None), "CODE in observations.csv is empty in every row"),
        (lambda t: t.assign(CODE=" "), "CODE in observations.csv is empty in every row"),
    ],
)
def test_a_centre_training_on_zeros_is_named(run, splits, named, observations, says):
    wrong = changed(splits[1], observations=observations)
    error, leaves = failure(run, [splits[0], wrong, splits[2]])
    assert isinstance(error, DataError)
    assert "node-1, round 1" in named(error)
    assert says in leaves
    with pytest.raises(NodeFailedError) as caught:
        StarModelTester(
            [splits[0], wrong, splits[2]], JourneyAnalyzer, JourneyStrategy, "s3", expects=EXPECTED
        )
    assert caught.value.message.startswith("before round 1, 1 node cannot take part:\n  node-1: ")
    assert says in caught.value.message


def test_blanks_do_not_count_and_empty_is_none(splits):
    def blanks(table):
        codes = table["CODE"].where(table.index % 2 == 0, " " + table["CODE"] + "\t")
        return table.assign(CODE=codes, PATIENT=" " + table["PATIENT"])

    def holes(table):
        return pd.concat([table, table.assign(CODE=""), table.assign(CODE="  ")])

    def quoted(table):  # a quoted empty cell is a text, an unquoted one is missing
        return table.assign(CODE=[code or "EMPTY" for code in table["CODE"]])

    plain = read_journeys(splits[0])
    wide = changed(splits[0], lambda t: t.assign(Id=t["Id"] + "  "), lambda t: holes(blanks(t)))
    files = changed(splits[0], observations=lambda table: quoted(holes(table)))[0]
    files[OBSERVATIONS] = files[OBSERVATIONS].replace(b"EMPTY", b'""')
    for journeys in (read_journeys(wide), read_journeys([files])):
        assert journeys.patients.equals(plain.patients)
        assert code_counts(journeys, 1) == code_counts(plain, 1)


def test_a_centre_without_agreed_codes_is_named(run, splits, named):
    def local(table):  # codes of its own, of too few patients to be named
        return table[:100].assign(DATE="2020-01-01", CODE="x" + table["CODE"])

    few = changed(splits[1], observations=local)
    error, leaves = failure(run, [splits[0], few, splits[2]])
    assert isinstance(error, DataError)
    assert "node-1, round 2" in named(error)
    assert "has none of the codes that were agreed on, so it would train on zeros" in leaves


def test_a_tiny_centre_trains_and_is_not_tested(run, splits):
    def few(table):
        return pd.concat([table[table["GENDER"] == sex][:3] for sex in "MF"])

    done = run([splits[0], changed(splits[1], few), splits[2]], rounds=2)
    assert done.tester.evaluations["node-1"] == {"n": 0}
    assert done.tester.evaluations["node-0"]["n"] == 14
    rows = [row.split(",") for row in done.tester.result[3].splitlines()[1:]]
    assert [row[2] for row in rows if row[1] == "node-1"] == ["6", "6"]
    assert [row[5:] for row in rows if row[1] == "node-1"] == [["0", "", ""]] * 2


def test_what_is_expected_is_what_the_centres_have(splits):
    assert [list(each.look(split)) for split in splits for each in EXPECTED] == [[], [], []]


@pytest.mark.parametrize(
    ("patients", "observations", "says"),
    [
        (lambda t: t.drop(columns="GENDER"), None, "patients.csv has no column GENDER"),
        (lambda t: t.assign(GENDER="Klinefelter"), None, "GENDER in patients.csv is neither"),
        (lambda t: pd.concat([t, t[:1]]), None, "patients whose Id is there twice"),
        (lambda t: t.assign(Id=[*t["Id"][:-1], None]), None, "patients without an Id: give"),
        (None, lambda t: t.assign(DATE="11/21/2026"), "DATE in observations.csv cannot be read"),
        (None, lambda t: t.drop(columns="CODE"), "observations.csv has no column CODE"),
    ],
)
def test_wrong_tables_are_told_without_values(run, splits, patients, observations, says):
    wrong = changed(splits[0], patients, observations)
    error, leaves = failure(run, [wrong, splits[1], splits[2]])
    assert isinstance(error, DataError)
    assert says in leaves
    assert "Klinefelter" not in leaves
    assert "11/21" not in leaves


@pytest.mark.parametrize("file", [PATIENTS, OBSERVATIONS])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda content: b"", "empty: copy it again"),
        (lambda content: b"\n", "empty: copy it again"),
        (lambda content: content.decode().encode("utf-16"), r"in UTF-16 \(Unicode\): save it"),
        (lambda content: content.decode().encode("utf-16-be"), "in UTF-16"),
        (lambda content: content[:300] + b"\xe9" + content[300:], "no CSV table in UTF-8: save"),
    ],
)
def test_an_empty_file_and_one_in_another_encoding(splits, file, content, says):
    files = {**splits[0][0], file: content(splits[0][0][file])}
    with pytest.raises(DataError, match=rf"^{file} is {says}"):
        read_journeys([files])


@pytest.mark.parametrize("file", [PATIENTS, OBSERVATIONS])
def test_a_missing_and_a_broken_file(splits, file):
    files = dict(splits[0][0])
    broken = [{**files, file: b"\xff\xfe,\x00"}]
    with pytest.raises(DataError, match=rf"{file}"):
        read_journeys(broken)
    del files[file]
    with pytest.raises(DataError, match=rf"There is no {file}"):
        read_journeys([files])
    with pytest.raises(DataError, match="2 of this node's data sources"):
        read_journeys([splits[0][0], splits[0][0]])


def test_arguments_that_cannot_be_meant(run, splits):
    for arguments in ({"min_patients": 0}, {"min_patients": "5"}, {"test_share": 1.0}):
        with pytest.raises(ModelError, match="min_patients is a whole number, 1 or more"):
            run(splits, **arguments)


def test_no_code_that_enough_patients_have(run, splits):
    with pytest.raises(DataError, match="lower min_patients"):
        run(splits, min_patients=61)
