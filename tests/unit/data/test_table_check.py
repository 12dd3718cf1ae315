"""What is not as expected of CSV files, and that no mismatch holds anything of them."""

import csv
import datetime
import io
import math
import subprocess
import sys

import pandas as pd
import pytest
from hanging import HANGS
from hypothesis import given
from hypothesis import strategies as st

from flame_flwr.data.expect import Column, Mismatch, Table, mismatches
from flame_flwr.data.people import counted
from flame_flwr.privacy.evidence import Evidence

AGE = Column("number", low=0, high=120, unit="years")
AGED = {"age": AGE}
GOOD = "patient,age,sex,visit\n1,54,f,2026-01-31\n2,61.5,M,2026-02-01T10:00\n"
COLUMNS = {
    **AGED,
    "sex": Column(values=["m", "f"]),
    "visit": Column("date"),
    "patient": Column("whole"),
}


def texts(expectation, data):
    return [mismatch.text for mismatch in mismatches([expectation], data)]


def of(text, columns=COLUMNS, **more):
    """What is said of a file, without its name."""
    content = text if isinstance(text, bytes) else text.encode()
    found = texts(Table("p.csv", columns, **more), [{"p.csv": content}])
    assert all(each.startswith("p.csv") for each in found)
    return [each.removeprefix("p.csv").removeprefix(":").strip() for each in found]


AS_EXPECTED = [
    (GOOD, COLUMNS, {"min_rows": 2}),
    ("\ufeff" + GOOD.replace("\n", "\r\n"), COLUMNS, {}),
    (GOOD.replace(",", ";"), COLUMNS, {"separator": ";"}),
    (GOOD.encode("latin-1"), COLUMNS, {"encoding": "latin-1"}),
    (b"\xef\xbb\xbfage\n1\n", AGED, {"encoding": "utf-8"}),
    ("age\n1\n".encode("utf-16"), AGED, {"encoding": "utf-16"}),
    ("age\u00a7sex\n1\u00a7f\n", AGED, {"separator": "\u00a7"}),
    ("age;sex\n54,5;f\n61;m\n", AGED, {"separator": ";", "decimal": ","}),
    ("a;b\n1\n", {"a;b": Column()}, {}),
    ("a;b\n1\n", {"a": Column(required=False)}, {}),
    ("age\n", {}, {"min_rows": 0}),
    ('age\n54\nNA\n\n""\n', AGED, {}),
    ("a\nTrue\nFALSE\n", {"a": Column(values=[True, False])}, {}),
    ("a\nTrue\n", {"a": Column(values=["true", "false"])}, {}),
    ("a\n1.0\n0.5\n", {"a": Column(values=[1, 0.5])}, {}),
    *((f"a\n{cell}\n", {"a": Column(values=["1", "yes"])}, {}) for cell in ("1.0", "YES", "yes ")),
]


@pytest.mark.parametrize(("text", "columns", "more"), AS_EXPECTED)
def test_data_as_expected_has_no_mismatch(text, columns, more):
    assert of(text, columns, **more) == []


NOT_SEPARATED = ["is not separated by ',': save it so"]
NO_NUMBER = ["column 'age' holds other things than numbers"]
OUTSIDE = ["column 'age' has values outside 0 to 120 years"]
NOT_AS_EXPECTED = [
    (GOOD.replace("age", "years"), COLUMNS, {}, ["has no column 'age'"]),
    (GOOD.replace("age", "age [months]"), COLUMNS, {}, ["column 'age' is not in years"]),
    (GOOD.replace("age", "age (years)"), COLUMNS, {}, ["column 'age' has its unit in its name"]),
    (" age\n1\n", AGED, {}, ["column 'age' has spaces around its name"]),
    (GOOD.replace("54", "fifty"), COLUMNS, {}, NO_NUMBER),
    (GOOD.replace("54", "inf"), COLUMNS, {}, NO_NUMBER),
    (GOOD.replace("54", "121"), COLUMNS, {}, OUTSIDE),
    (GOOD.replace("54", "-1"), COLUMNS, {}, OUTSIDE),
    ("age;sex\n120,5;f\n", AGED, {"separator": ";", "decimal": ","}, OUTSIDE),
    ("a\n2e9\n", {"a": Column("number", high=1e7)}, {}, ["column 'a' has values above 10000000.0"]),
    (GOOD.replace("M", "x"), COLUMNS, {}, ["column 'sex' holds other texts than m, f"]),
    ("a\n2\n", {"a": Column(values=[1, 0.5])}, {}, ["column 'a' holds other texts than 1, 0.5"]),
    ("a\n1\n", {"a": Column(values=[True])}, {}, ["column 'a' holds other texts than True"]),
    (
        GOOD.replace("2026-01-31", "31.1.2026"),
        COLUMNS,
        {},
        ["column 'visit' holds other things than dates like 2026-11-21"],
    ),
    (
        GOOD.replace("2,61", "2.5,61"),
        COLUMNS,
        {},
        ["column 'patient' holds other things than whole numbers"],
    ),
    (b"age\n\xff\n", AGED, {}, ["is not a table in utf-8-sig"]),
    ("age,sex\n54,f\n61,m,x\n", AGED, {}, ["is not a table in utf-8-sig"]),
    # pandas takes the first cells for an index then, and every column is the next one
    ("age,sex\n54,70,\n", AGED, {}, ["has more cells in its rows than names in its first line"]),
    ("", AGED, {}, ["has no column 'age'", "has fewer than 1 rows"]),
    (GOOD.replace(",", ";"), COLUMNS, {}, NOT_SEPARATED),
    (GOOD.replace(",", "\t"), COLUMNS, {}, NOT_SEPARATED),
    (GOOD.replace(",", "|").replace("patient", '"patient"'), COLUMNS, {}, NOT_SEPARATED),
    ('"age, years"\n1\n', AGED, {}, ["has no column 'age'"]),
    (GOOD + "\n\n", COLUMNS, {"min_rows": 3}, ["has fewer than 3 rows"]),
    (
        "age,sex\n54\n",
        {"sex": Column(most_missing=0)},
        {},
        ["column 'sex' is empty in more than 0% of the rows"],
    ),
    (
        "a,b\n2e9,x\n,x\n",
        {"a": Column("number", high=1_234_567.5, most_missing=0.001)},
        {},
        [
            "column 'a' has values above 1234567.5",
            "column 'a' is empty in more than 0.1% of the rows",
        ],
    ),
    ("age\nold\n", {"age": Column("number", required=False)}, {}, NO_NUMBER),
]


@pytest.mark.parametrize(("text", "columns", "more", "expected"), NOT_AS_EXPECTED)
def test_what_is_not_as_expected_is_found(text, columns, more, expected):
    assert of(text, columns, **more) == expected


@pytest.mark.parametrize("percent", [0, 7, 14, 28, 29, 55, 56, 57, 58, 100])
def test_the_share_of_empty_cells_is_exact(percent):
    rows = ["NA"] * percent + ["1"] * (100 - percent)
    column = {"a": Column(most_missing=percent / 100)}
    assert of("a\n" + "\n".join(rows), column) == []
    assert percent == 100 or of("a\n" + "\n".join(["NA", *rows[:-1]]), column) != []


def test_what_only_tells_does_not_stop():
    columns = {"age": Column("number", high=100, stops=False), "sex": Column()}
    assert mismatches([Table("p.csv", columns)], [{"p.csv": b"age\n101\n"}]) == [
        Mismatch("p.csv has no column 'sex'"),
        Mismatch("p.csv: column 'age' has values above 100", stops=False),
    ]


@given(st.binary(max_size=300))
def test_no_bytes_break_the_look_or_are_said(content):
    assert not any("secret-cell" in text for text in of(b"secret-cell," + content))


# ---- read as the analysis reads it: with pandas ---------------------------------------------

CELLS = ["1", "1.5", " 2", "1e3", "-0", "+4", "1_000", "1,000", "\u0661", "0x10", "inf", "nan"]
CELLS += ["NA", "na", "", "True", "false", "1e400", "12345678901234567890", "9" * 30, "1d5", "7%"]


def is_number_for_pandas(column):
    try:
        values = [float(value) for value in column.dropna() if not isinstance(value, str | bool)]
    except OverflowError:
        return False
    return len(values) == column.count() and all(map(math.isfinite, values))


@given(st.lists(st.sampled_from(CELLS), min_size=1, max_size=4))
def test_a_number_is_what_pandas_reads_as_one(cells):
    text = "a,b\n" + "".join(f'"{cell}",x\n' for cell in cells)
    read = pd.read_csv(io.StringIO(text))["a"]
    numbers = is_number_for_pandas(read)
    assert (of(text, {"a": Column("number")}) == []) == numbers
    whole = numbers and all(float(value) % 1 == 0 for value in read.dropna())
    assert (of(text, {"a": Column("whole")}) == []) == whole
    for most in (0, 0.495):
        said = f"column 'a' is empty in more than {100 * most:g}% of the rows"
        assert (said in of(text, {"a": Column(most_missing=most)})) == (read.isna().mean() > most)


@pytest.mark.parametrize(
    ("cell", "is_date"),
    [
        ("2026-01-31", True),
        ("2026-01-31T10:00:00+01:00", True),
        ("2026-01-31 10:00", True),
        ("20260131", False),  # pandas reads a number: 20 ms after 1970 began
        ("2026", False),
        ("31.1.2026", False),
        ("now", False),
        ("2026-02-30", False),
    ],
)
def test_a_date_is_what_pandas_reads_as_one(cell, is_date):
    assert (of(f"a\n{cell}\n", {"a": Column("date")}) == []) == is_date


@pytest.mark.parametrize("odd", [0, 60_000, 119_999])
def test_every_row_of_a_large_file_counts(odd):
    cells = ["1"] * 120_000
    column = {"a": Column("whole", values=[1])}
    assert of("a\n" + "\n".join(cells), column) == []
    cells[odd] = "x"
    assert of("a\n" + "\n".join(cells), column, min_rows=120_001) == [
        "has fewer than 120001 rows",
        "column 'a' holds other things than whole numbers",
        "column 'a' holds other texts than 1",
    ]


def test_a_look_leaves_the_process_as_it_was():
    before = csv.field_size_limit(100)
    try:
        assert of("a,b\n" + "x" * 300_000 + ",1\n", {"b": Column("whole")}) == []
        assert csv.field_size_limit() == 100
    finally:
        csv.field_size_limit(before)
    code = (
        "import sys, flame_flwr.data.expect as e; e.Table('a.csv', {'b': e.Column(values=[1])})\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=HANGS)


# ---- which files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "keys", "others"),
    [
        ("labs[2024].csv", ["labs[2024].csv", "2024/LABS[2024].CSV"], ["labs.csv"]),
        ("*[a].csv", ["x[a].csv", "xa.csv"], ["xb.csv"]),
        ("*_[!x].csv", ["p_[!x].csv", "p_y.csv"], ["p_x.csv"]),
        ("*[-_.]labeled.csv", ["site-labeled.csv", "A_Labeled.CSV"], ["unlabeled.csv"]),
        ("p?.csv", ["p1.csv", "p?.csv"], ["p12.csv"]),
        ("a*b.csv", ["a*b.csv", "ab.csv", "axxb.csv"], ["abx.csv"]),
        ("]odd[.csv", ["]odd[.csv"], ["o.csv"]),
        (("labeled.csv", "*_labeled.csv"), ["2026/Site_Labeled.csv"], ["unlabeled.csv"]),
    ],
)
def test_files_are_found_by_name_and_by_pattern(pattern, keys, others):
    table = Table(pattern, AGED)
    for key in keys:
        assert texts(table, [{}, {key: b"age\n1\n"}]) == []
    called = pattern if isinstance(pattern, str) else " or ".join(pattern)
    for key in others:
        assert texts(table, [{key: b"age\n1\n"}]) == [f"no file {called}"]


def test_the_very_name_comes_before_a_pattern():
    table = Table("labs[2024].csv", AGED)
    assert texts(table, [{"labs2.csv": b"age\nx\n"}, {"labs[2024].csv": b"age\n1\n"}]) == []
    both = [{"a_labs.csv": b"age\nx\n", "b_labs.csv": b"age\ny\n"}]
    assert len(texts(Table("*_labs.csv", AGED), both)) == 1  # said once


def test_what_is_no_file_is_found():
    assert texts(Table("p.csv"), [3]) == ["the data is not a list of files"]
    for content in (3, "a\n1\n"):
        assert texts(Table("p.csv"), [{"p.csv": content}]) == ["p.csv is not a file"]


def test_a_database_table_is_checked_as_files():
    """It comes as the DataFrame that the analysis gets, dates as dates."""
    table = Table("person", COLUMNS, min_rows=3, subject="patient")
    good = pd.read_csv(io.StringIO(GOOD), parse_dates=["visit"], date_format="ISO8601")
    days = good.assign(visit=[datetime.date(2026, 1, 31), None])
    for frame in (good, days):
        assert texts(table, [{"person": frame}]) == ["person has fewer than 3 rows"]
        assert counted(Evidence(), [{"person": frame}], [table]).people == 2
    bad = days.assign(age=[54, 610], sex="x", visit=5).drop(columns="patient")
    assert texts(table, [{"person": bad}]) == [
        "person has no column 'patient'",
        "person has fewer than 3 rows",
        "person: column 'age' has values outside 0 to 120 years",
        "person: column 'sex' holds other texts than m, f",
        "person: column 'visit' holds other things than dates like 2026-11-21",
    ]
    assert texts(table, [{"other": good}]) == ["no file person"]


def test_of_several_tables_the_shortest_counts():
    tables = {"person": pd.DataFrame({"a": [1, 2]}), "visit": pd.DataFrame({"a": [1] * 9})}
    assert counted(Evidence(), [tables]).rows == 2
