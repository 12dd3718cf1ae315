"""Every kind of bad input is refused with a message that says what to do, and leaks nothing."""

import numpy as np
import pandas as pd
import pytest

from flame_flwr.errors import DataError
from halta.cohort import labeled_file, load_cohort, numbers, sexes

GOOD = b"age,sex,visit1_fatigue,pasc\n50,female,1,1\n60,male,0,0\n70,male,1,\n"


def refused(data):
    with pytest.raises(DataError) as caught:
        load_cohort(data)
    return caught.value


def csv(text):
    return [{"hospital_labeled.csv": text.encode()}]


@pytest.mark.parametrize(
    "name",
    ["labeled.csv", "a_labeled.csv", "a-labeled.csv", "sub/a.labeled.csv", "A_LABELED.CSV"]
    + ["b_labelled.csv", "unlabeled_folder/labeled.csv"],
)
def test_names_that_are_labeled(name):
    assert labeled_file([{"unlabeled.csv": b"", name: GOOD, "readme.txt": b""}]) == GOOD


@pytest.mark.parametrize(
    "name",
    ["unlabeled.csv", "a_unlabeled.csv", "un_labeled.csv", "not-labeled.csv", "labeled.csv.bak"]
    + ["labeled.txt", "prelabeled.csv"],
)
def test_names_that_are_not(name):
    error = refused([{name: GOOD}])
    assert error.message == (
        "There is no labeled file: one file must be called labeled.csv or end in _labeled.csv, "
        "and none of the 1 here is."
    )
    assert name in error.detail


@pytest.mark.parametrize("data", [None, [], [{}]])
def test_no_files(data):
    assert "none of the 0 here is" in refused(data).message


def test_two_labeled_files_also_in_two_sources():
    error = refused([{"a_labeled.csv": GOOD}, {"b_labeled.csv": GOOD}])
    assert "There are 2 labeled files, and it must be one" in error.message
    assert error.detail == "files: ['a_labeled.csv', 'b_labeled.csv']"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The labeled file is empty."),
        ("\n\n", "The labeled file is empty."),
        ("age,pasc\n", "has column names but not one patient"),
        ("age,pasc\n1,0\n1,2,3,4\n", "lines have different numbers of cells"),
        ("age;pasc\n50;1\n", "no 'pasc' column among the 1 columns"),
        ("age,sex\n50,female\n", "no 'pasc' column among the 2 columns"),
        ("age,pasc\n50,1\n60,1\n", "Column 'pasc' holds only the label 1"),
        ("age,pasc\n50,0\n60,\n", "Column 'pasc' holds only the label 0"),
        ("age,pasc\n50,\n60,\n", "Column 'pasc' holds no label at all"),
        ("age,pasc\n50,1\n60,2\n61,0\n", "Column 'pasc' holds 1 cell other than 0 and 1"),
        ("age,pasc\n50,ill\n60,1\n61,well\n", "Column 'pasc' holds 2 cells of text"),
    ],
)
def test_bad_files(text, message):
    assert message in refused(csv(text)).message


def test_bytes_that_are_no_text():
    assert "not UTF-8 text" in refused([{"labeled.csv": b"age,pasc,n\n50,1,M\xfcller\n"}]).message


def test_a_message_holds_no_patient_value():
    error = refused(csv("age,pasc\n50,Smith\n60,1\n"))
    assert "Smith" not in error.message
    assert "Smith" in error.detail


def test_rows_without_a_label_are_kept_and_known():
    cohort = load_cohort([{"labeled.csv": GOOD}])
    assert len(cohort.table) == 3
    assert cohort.known.tolist() == [True, True, False]


def test_words_for_labels_and_a_byte_order_mark():
    cohort = load_cohort([{"labeled.csv": "\ufeffpasc,age\nyes,50\nNo,60\n".encode()}])
    assert cohort.labels.tolist() == [1.0, 0.0]


def test_text_among_numbers_names_column_and_count():
    table = pd.DataFrame({"visit1_cough": ["1", "0", "sometimes", "inf", " ", None]})
    with pytest.raises(DataError, match="Column 'visit1_cough' holds 2 cells of text") as caught:
        numbers(table, "visit1_cough")
    assert caught.value.detail == "for example 'sometimes'"


def test_numbers_reads_what_csv_files_hold():
    table = pd.DataFrame({"a": ["yes", "no", " 2.5 ", "", None], "b": [True, False] * 2 + [True]})
    np.testing.assert_array_equal(numbers(table, "a"), [1, 0, 2.5, np.nan, np.nan])
    np.testing.assert_array_equal(numbers(table, "b"), [1, 0, 1, 0, 1])


def test_sexes_in_words_and_codes():
    words = ["Female", "m", "F", "diverse", None, "male"]
    expected = ["female", "male", "female", "other", None, "male"]
    assert sexes(pd.DataFrame({"gender": words})).tolist() == expected
    assert sexes(pd.DataFrame({"sex": [1, 2, 9, np.nan]})).tolist() == [
        *("male", "female", "other"),
        None,
    ]
    assert sexes(pd.DataFrame({"age": [1]})) is None


def test_an_ambiguous_sex_code_is_refused():
    with pytest.raises(DataError, match="2 cells with something other than a sex"):
        sexes(pd.DataFrame({"sex": [0, 1, 0]}))
