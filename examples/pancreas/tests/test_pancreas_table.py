"""Every kind of bad file is refused with a message that says what to do, and leaks nothing."""

import numpy as np
import pytest

from flame_flwr.errors import DataError
from pancreas.table import FILE, held_out, load_table

COLUMNS = ["width", "height"]
GOOD = "width,height,disease\n1,2,0\n3,4,1\n"


def refused(text, columns=COLUMNS):
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(DataError) as caught:
        load_table([{FILE: content}], columns)
    return caught.value


def test_a_good_file():
    x, labels = load_table([{"readme.txt": b"", FILE: GOOD.encode()}], COLUMNS)
    np.testing.assert_array_equal(x, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(labels, [0, 1])
    assert len(load_table([{FILE: b"\xef\xbb\xbf" + GOOD.encode()}], COLUMNS)[1]) == 2


@pytest.mark.parametrize("data", [None, [], [{}], [{"PancreasData.csv": b""}]])
def test_a_missing_file(data):
    with pytest.raises(DataError) as caught:
        load_table(data)
    count = sum(map(len, data or []))
    assert caught.value.message == (
        f"There is no pancreasData.csv among this node's {count} files. The name must be exactly "
        "this one, and the file must not lie in a subfolder."
    )
    assert "PancreasData" not in caught.value.message


def test_a_file_that_is_there_twice():
    with pytest.raises(DataError, match=r"2 of this node's data sources have a pancreasData\.csv"):
        load_table([{FILE: GOOD.encode()}] * 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "pancreasData.csv is empty."),
        ("width,height,disease\n", "has column names but not one patient"),
        ("width,height,disease\n1,2,0\n1,2,3,4,5\n", "its lines have different numbers of cells"),
        ("width,height,disease\n1,2,0,9\n1,2,1,9\n", "its lines have more cells than column names"),
        (b"width,height,disease\n\xfc,2,0\n", "is not UTF-8 text"),
        (
            "width,disease\n1,0\n",
            "has 2 columns, and 3 are expected: 2 measurements, and the label",
        ),
        ("width;height;disease\n1;2;0\n", "has 1 column, and 3 are expected"),
        ("width;height;disease\n1;2;0\n", "Is the file separated by commas"),
        ("a,width,height,disease\n1,2,3,0\n", "has 4 columns, and 3 are expected"),
        (
            "height,width,disease\n1,2,0\n",
            "2 of the 2 measurements in pancreasData.csv are not called as expected, or not in the "
            "expected order; the first is column 1, where 'width' is expected.",
        ),
        (GOOD + "x,4,1\n", "1 cell of pancreasData.csv, the first of them in column 1, holds no f"),
        (GOOD + "1,y,1\n1,inf,1\n", "2 cells of pancreasData.csv, the first of them in column 2, "),
        (GOOD + "1,,1\n", "1 cell of pancreasData.csv, the first of them in column 2, holds no v"),
        (GOOD + "1,,1\n", "nothing is guessed: fill them in or leave the patients out"),
        (GOOD + "1,2,2\n", "The last column of pancreasData.csv is the label, and 1 cell of it is"),
        (GOOD + "1,2,2\n1,2,.5\n", "2 cells of it are neither 0 nor 1"),
        ("width,height,disease\n1,2,1\n", "Every row of pancreasData.csv has the label 1"),
        ("width,height,disease\n1,2,0\n", "Every row of pancreasData.csv has the label 0"),
    ],
)
def test_bad_files(text, message):
    assert message in refused(text).message


def test_without_expected_columns_two_are_enough():
    assert load_table([{FILE: b"a,b\n1,0\n2,1\n"}])[0].shape == (2, 1)
    assert "has 1 column, and at least 2 are needed" in refused("a;b\n1;0\n", None).message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (GOOD + "Smith,4,1\n", "Smith"),
        (GOOD + "1,2,17\n", "17"),
        ("Smith,height,disease\n1,2,0\n", "Smith"),
    ],
)
def test_a_message_holds_nothing_of_the_file(text, value):
    error = refused(text)
    assert value not in error.message
    assert value in error.detail


def test_each_class_has_the_same_held_out_share():
    labels = np.array([0.0] * 40 + [1.0] * 21)
    chosen = held_out(labels, 0.25, 42)
    assert (chosen[:40].sum(), chosen[40:].sum()) == (10, 5)
    np.testing.assert_array_equal(chosen, held_out(labels, 0.25, 42))
    assert (chosen != held_out(labels, 0.25, 43)).any()
    assert not held_out(labels, 0, 42).any()
