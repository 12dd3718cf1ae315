"""What an analysis expects of data: what is found, and that no finding holds anything of it."""

import csv
import io
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame_flwr.data.expect import Column, Mismatch, Resources, Table, mismatches
from flame_flwr.errors import ModelError

AGE = Column("number", low=0, high=120, unit="years")
GOOD = "patient,age,sex,visit\n1,54,f,2026-01-31\n2,61.5,M,2026-02-01T10:00\n"
COLUMNS = {
    "age": AGE,
    "sex": Column(values=["m", "f"]),
    "visit": Column("date"),
    "patient": Column("whole"),
}


def texts(expectation, data):
    return [finding.text for finding in mismatches([expectation], data)]


def of(text, *, columns=None, **more):
    table = Table("patients.csv", COLUMNS if columns is None else columns, **more)
    content = text if isinstance(text, bytes) else text.encode()
    return texts(table, [{"patients.csv": content}])


def test_data_as_expected_has_no_mismatch():
    assert of(GOOD, min_rows=2) == []
    assert of("\ufeff" + GOOD.replace("\n", "\r\n")) == []
    assert of(GOOD.replace(",", ";"), separator=";") == []
    assert of(GOOD.encode("latin-1"), encoding="latin-1") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD.replace("age", "years"), "patients.csv has no column 'age'"),
        (GOOD.replace("age", "age [months]"), "patients.csv: column 'age' is not in years"),
        (GOOD.replace("age", "age (years)"), "patients.csv: column 'age' has its unit in its name"),
        (GOOD.replace("54", "fifty"), "patients.csv: column 'age' holds other things than numbers"),
        (GOOD.replace("54", "inf"), "patients.csv: column 'age' holds other things than numbers"),
        (GOOD.replace("54", "121"), "patients.csv: column 'age' has values outside 0 to 120 years"),
        (GOOD.replace("54", "-1"), "patients.csv: column 'age' has values outside 0 to 120 years"),
        (GOOD.replace("M", "x"), "patients.csv: column 'sex' holds other texts than m, f"),
        (
            GOOD.replace("2026-01-31", "31.1.2026"),
            "patients.csv: column 'visit' holds other things than dates like 2026-11-21",
        ),
        (
            GOOD.replace("2,61", "2.5,61"),
            "patients.csv: column 'patient' holds other things than whole numbers",
        ),
        (b"age\n\xff\n", "patients.csv is no table in utf-8-sig"),
        ("", "patients.csv has no column 'age'"),
    ],
)
def test_what_is_not_as_expected_is_found(text, expected):
    assert expected in of(text)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_one_finding(separator):
    text = GOOD.replace(",", separator)
    assert of(text) == ["patients.csv is not separated by ',': save it so"]
    assert of(text.replace("patient", '"patient"')) == of(text)


def test_a_separator_within_a_name_is_none():
    assert of("a;b\n1\n", columns={"a;b": Column()}) == []
    assert of('"age, years"\n1\n', columns={"age": AGE}) == ["patients.csv has no column 'age'"]
    assert of("a;b\n1\n", columns={"a": Column(required=False)}) == []


def test_rows_are_counted_without_empty_lines():
    assert of(GOOD + "\n\n", min_rows=3) == ["patients.csv has fewer than 3 rows"]
    assert of("age\n", columns={}) == ["patients.csv has fewer than 1 rows"]
    assert of("age\n", columns={}, min_rows=0) == []


def test_empty_cells_may_be_too_many():
    text = 'age\n54\nNA\n\n""\n'
    assert of(text, columns={"age": AGE}) == []
    column = Column("number", most_missing=0.5)
    assert of(text, columns={"age": column}) == [
        "patients.csv: column 'age' is empty in more than 50% of the rows"
    ]
    assert of("age,sex\n54\n", columns={"sex": Column(most_missing=0)}) == [
        "patients.csv: column 'sex' is empty in more than 0% of the rows"
    ]


@pytest.mark.parametrize("percent", [0, 7, 14, 28, 29, 55, 56, 57, 58, 100])
def test_the_share_of_empty_cells_is_exact(percent):
    rows = ["NA"] * percent + ["1"] * (100 - percent)
    column = {"a": Column(most_missing=percent / 100)}
    assert of("a\n" + "\n".join(rows), columns=column) == []
    assert percent == 100 or of("a\n" + "\n".join(["NA", *rows[:-1]]), columns=column) != []


def test_an_optional_column_is_looked_at_where_present():
    columns = {"age": Column("number", required=False)}
    assert of("sex\nf\n", columns=columns) == []
    assert of("age\nold\n", columns=columns) != []


@pytest.mark.parametrize("cell", ["1", "1.0", "YES", "yes "])
def test_values_are_compared_as_numbers_or_without_case(cell):
    assert of(f"pasc\n{cell}\n", columns={"pasc": Column(values=["1", "yes"])}) == []


def test_files_are_found_by_their_ends():
    table = Table(("labeled.csv", "*_labeled.csv"), {"age": AGE})
    assert texts(table, [{}, {"2026/Site_Labeled.csv": b"age\n1\n"}]) == []
    assert texts(table, [{"unlabeled.csv": b"age\n1\n"}]) == [
        "no file labeled.csv or *_labeled.csv"
    ]
    assert texts(table, [3]) == ["the data is no list of files"]
    two = [{"a_labeled.csv": b"age\nx\n", "b_labeled.csv": b"age\ny\n"}]
    assert len(texts(table, two)) == 1  # said once


def test_what_only_tells_does_not_stop():
    columns = {"age": Column("number", high=100, stops=False), "sex": Column()}
    found = mismatches([Table("p.csv", columns)], [{"p.csv": b"age\n101\n"}])
    assert found == [
        Mismatch("p.csv has no column 'sex'"),
        Mismatch("p.csv: column 'age' has values above 100", stops=False),
    ]


@given(st.binary(max_size=300))
def test_no_bytes_break_the_look_or_are_said(content):
    table = Table("p.csv", COLUMNS)
    for text in texts(table, [{"p.csv": b"secret-cell," + content}]):
        assert "secret-cell" not in text
        assert text.startswith("p.csv")


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
    assert (of(text, columns={"a": Column("number")}) == []) == numbers
    whole = numbers and all(float(value) % 1 == 0 for value in read.dropna())
    assert (of(text, columns={"a": Column("whole")}) == []) == whole
    for most in (0, 0.495):
        said = f"patients.csv: column 'a' is empty in more than {100 * most:g}% of the rows"
        found = of(text, columns={"a": Column(most_missing=most)})
        assert (said in found) == (read.isna().mean() > most)


@pytest.mark.parametrize("cell", ["1_000", "\u0661\u0662", "\uff11", "1,5", "True", "0x1", "inf"])
def test_what_pandas_reads_as_text_is_no_number(cell):
    for kind in ("number", "whole"):
        found = of(f'a,b\n1,x\n"{cell}",x\n', columns={"a": Column(kind)})
        assert len(found) == 1
        assert "holds other things than" in found[0]


def test_the_sign_before_decimals_is_declared():
    text = "age;sex\n54,5;f\n61;m\n"
    columns = {"age": AGE}
    assert of(text, columns=columns, separator=";", decimal=",") == []
    assert of(text, columns=columns, separator=";") != []
    high = of(text.replace("54,5", "120,5"), columns=columns, separator=";", decimal=",")
    assert high == ["patients.csv: column 'age' has values outside 0 to 120 years"]


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
    assert (of(f"a\n{cell}\n", columns={"a": Column("date")}) == []) == is_date


def test_rows_longer_than_the_header_are_found():
    """Pandas takes the first cells for an index then, and every column is the next one."""
    found = of("age,sex\n54,70,\n61,80,\n", columns={"age": AGE})
    assert found == ["patients.csv has more cells in its rows than names in its first line"]
    assert of("age,sex\n54,f\n61,m,x\n", columns={"age": AGE}) == [
        "patients.csv is no table in utf-8-sig"
    ]


def test_spaces_are_found_and_byte_order_marks_read():
    assert of(" age\n1\n", columns={"age": AGE}) == [
        "patients.csv: column 'age' has spaces around its name"
    ]
    for encoding in ("utf-8", "utf-8-sig"):
        assert of(b"\xef\xbb\xbfage\n1\n", columns={"age": AGE}, encoding=encoding) == []
    assert of("age\n1\n".encode("utf-16"), columns={"age": AGE}, encoding="utf-16") == []
    assert of("age\u00a7sex\n1\u00a7f\n", columns={"age": AGE}, separator="\u00a7") == []


@pytest.mark.parametrize("odd", [0, 60_000, 119_999])
def test_every_row_of_a_large_file_counts(odd):
    cells = ["1"] * 120_000
    assert of("a\n" + "\n".join(cells), columns={"a": Column("whole", values=[1])}) == []
    cells[odd] = "x"
    text = "a\n" + "\n".join(cells)
    found = of(text, columns={"a": Column("whole", values=[1])}, min_rows=120_001)
    assert found == [
        "patients.csv has fewer than 120001 rows",
        "patients.csv: column 'a' holds other things than whole numbers",
        "patients.csv: column 'a' holds other texts than 1",
    ]


def test_a_look_leaves_the_process_as_it_was():
    before = csv.field_size_limit(100)
    try:
        assert of("a,b\n" + "x" * 300_000 + ",1\n", columns={"b": Column("whole")}) == []
        assert csv.field_size_limit() == 100
    finally:
        csv.field_size_limit(before)
    code = (
        "import sys, flame_flwr.data.expect as e; e.Table('a.csv', {'b': e.Column(values=[1])})\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


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
    ],
)
def test_files_are_found_by_name_and_by_pattern(pattern, keys, others):
    table = Table(pattern, {"age": AGE})
    for key in keys:
        assert texts(table, [{key: b"age\n1\n"}]) == []
    for key in others:
        assert texts(table, [{key: b"age\n1\n"}]) == [f"no file {pattern}"]


def test_the_very_name_comes_before_a_pattern():
    table = Table("labs[2024].csv", {"age": AGE})
    assert texts(table, [{"labs2.csv": b"age\nx\n"}, {"labs[2024].csv": b"age\n1\n"}]) == []


def test_bounds_and_shares_keep_all_their_digits():
    columns = {"a": Column("number", high=1_234_567.5, most_missing=0.001)}
    found = of("a,b\n2e9,x\n,x\n", columns=columns)
    assert found == [
        "patients.csv: column 'a' has values above 1234567.5",
        "patients.csv: column 'a' is empty in more than 0.1% of the rows",
    ]
    assert of("a\n2e9\n", columns={"a": Column("number", high=10_000_000)}) == [
        "patients.csv: column 'a' has values above 10000000"
    ]


def test_values_may_be_yes_and_no():
    columns = {"a": Column(values=[True, False])}
    assert of("a\nTrue\nFALSE\n", columns=columns) == []
    assert of("a\n1\n", columns=columns) != []
    assert of("a\nTrue\n", columns={"a": Column(values=np.array(["true", "false"]).tolist())}) == []


# ---- FHIR -----------------------------------------------------------------------------------


def weight(value=70, unit="kg", code="29463-7"):
    quantity = {"value": value, "unit": unit}
    return {
        "resourceType": "Observation",
        "code": {"coding": [{"code": code}]},
        "valueQuantity": quantity,
    }


def bundle(*resources):
    return {"resourceType": "Bundle", "entry": [{"resource": each} for each in resources]}


WEIGHT = Resources("Observation", at_least=2, code="29463-7", unit="kg", low=1, high=400)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([weight(), weight()], []),
        (
            [weight(), weight(code="other")],
            ["fewer than 2 resources of the type Observation with the code 29463-7"],
        ),
        (
            [weight(), weight(unit="g")],
            ["Observation with the code 29463-7: values in another unit than kg"],
        ),
        (
            [weight(), weight(value=70_000)],
            ["Observation with the code 29463-7: values outside 1 to 400 kg"],
        ),
        (
            [weight(), {"resourceType": "Patient"}, {"resourceType": "Observation"}],
            ["fewer than 2 resources of the type Observation with the code 29463-7"],
        ),
    ],
)
def test_resources_are_counted_and_looked_at(resources, expected):
    assert texts(WEIGHT, [{"Observation?code=29463-7": bundle(*resources)}]) == expected


def test_a_search_for_a_count_has_a_total():
    counted = {"resourceType": "Bundle", "total": 30}
    patients = Resources("Patient", at_least=30)
    assert texts(patients, [{"Patient?_summary=count": counted}]) == []
    assert texts(patients, [{"Encounter?_summary=count": counted}]) != []
    assert texts(patients, [{"Patient": {"no": "bundle"}}]) == [
        "an answer to a search is no Bundle"
    ]


def component(code, **value):
    return {"code": {"coding": [{"code": code}]}, **value}


def kg(value, unit="kg"):
    return {"valueQuantity": {"value": value, "unit": unit}}


def panel(*components, **own):
    return {**weight(code="panel"), "valueQuantity": None, "component": list(components), **own}


NO_NUMBER = "Observation with the code 29463-7: values that are no numbers"
NO_VALUE = "Observation with the code 29463-7: no valueQuantity in some of them"
OUTSIDE = "Observation with the code 29463-7: values outside 1 to 400 kg"
OTHER_UNIT = "Observation with the code 29463-7: values in another unit than kg"


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        (weight(value="70"), [NO_NUMBER]),
        (weight(value=None), [NO_NUMBER]),
        (weight(value=True), [NO_NUMBER]),
        (weight(value=float("nan")), [NO_NUMBER]),
        (weight(value=[70]), [NO_NUMBER]),
        (weight(value=10**400), [OUTSIDE]),
        (weight(unit=["kg"]), [OTHER_UNIT]),
        ({**weight(), "valueQuantity": None}, [NO_VALUE]),
        ({**weight(), "valueQuantity": 70}, [NO_VALUE]),
        ({**weight(), "valueQuantity": None, "valueString": "70 kg"}, [NO_VALUE]),
        ({**weight(), "valueQuantity": None, "dataAbsentReason": {"text": "refused"}}, []),
        (panel(component("29463-7", **kg(70)), component("other", **kg(7000))), []),
        (panel(component("29463-7", **kg(70_000))), [OUTSIDE]),
        (panel(component("29463-7", **kg(70, "g"))), [OTHER_UNIT]),
        (panel(component("29463-7", valueString="70")), [NO_VALUE]),
        (panel(component("29463-7", dataAbsentReason={"text": "refused"})), []),
        ({**weight(), "valueQuantity": None, "component": [component("a", **kg(500))]}, [OUTSIDE]),
        ({**weight(), "component": [component("a", **kg(500))]}, []),
    ],
)
def test_odd_and_missing_values_are_found(odd, expected):
    assert texts(WEIGHT, [{"Observation": bundle(weight(), odd)}]) == expected


@pytest.mark.parametrize("codings", [5, "29463-7", {"code": "29463-7"}, [5], None])
def test_a_code_that_is_odd_is_another_code(codings):
    odd = {"resourceType": "Observation", "code": {"coding": codings}, "component": codings}
    found = texts(WEIGHT, [{"Observation": bundle(weight(), weight(), odd)}])
    assert found == []
    assert texts(Resources("Observation", at_least=1, low=1), [{"x": bundle(odd)}]) == [
        "Observation: no valueQuantity in some of them"
    ]


def test_resources_that_only_tell_do_not_stop():
    tells = Resources("Observation", low=1, stops=False)
    data = [{"Observation": bundle(weight(value=0), {**weight(), "valueQuantity": None})}]
    assert [found.stops for found in mismatches([tells], data)] == [False, False]


def test_no_value_is_needed_without_unit_and_bounds():
    assert texts(Resources("Patient"), [{"Patient": bundle({"resourceType": "Patient"})}]) == []


# ---- what is declared -----------------------------------------------------------------------


def test_values_may_be_numbers():
    columns = {"pasc": Column(values=[1, 0.5])}
    assert of("pasc\n1.0\n0.5\n", columns=columns) == []
    assert of("pasc\n2\n", columns=columns) == [
        "patients.csv: column 'pasc' holds other texts than 1, 0.5"
    ]


def test_a_file_that_is_none_is_found():
    assert texts(Table("p.csv"), [{"p.csv": 3}]) == ["p.csv is no file"]
    assert texts(Table("p.csv"), [{"p.csv": "a\n1\n"}]) == ["p.csv is no file"]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Column("integer"), "Column: kind"),
        (lambda: Column(["number"]), "Column: kind"),
        (lambda: Column("text", low=3), "Column: low and high are for columns of numbers"),
        (lambda: Column("number", low="1"), "Column: low"),
        (lambda: Column("number", high=True), "Column: high"),
        (lambda: Column("number", high=float("nan")), "Column: high"),
        (lambda: Column("number", high=10**400), "Column: high"),
        (lambda: Column("number", low=2, high=1), "Column: low must not be above high"),
        (lambda: Column(values="mf"), "Column: values"),
        (lambda: Column(values=[]), "Column: values"),
        (lambda: Column(values=[None]), "Column: values"),
        (lambda: Column(values={"m": 1}), "Column: values"),
        (lambda: Column(unit=5), "Column: unit"),
        (lambda: Column(required="no"), "Column: required"),
        (lambda: Column(most_missing=5), "Column: most_missing"),
        (lambda: Column(most_missing=-0.1), "Column: most_missing"),
        (lambda: Column(most_missing="5%"), "Column: most_missing"),
        (lambda: Column(stops=None), "Column: stops"),
        (lambda: Table(""), "Table: file"),
        (lambda: Table([]), "Table: file"),
        (lambda: Table(["a.csv", 5]), "Table: file"),
        (lambda: Table(5), "Table: file"),
        (lambda: Table("a.csv", ["w"]), "Table: columns"),
        (lambda: Table("a.csv", {"w": "number"}), "Table: column 'w'"),
        (lambda: Table("a.csv", {5: Column()}), "Table: a column's name"),
        (lambda: Table("a.csv", min_rows=-1), "Table: min_rows"),
        (lambda: Table("a.csv", min_rows="1"), "Table: min_rows"),
        (lambda: Table("a.csv", separator="||"), "Table: separator"),
        (lambda: Table("a.csv", separator=None), "Table: separator"),
        (lambda: Table("a.csv", separator="\n"), "Table: separator"),
        (lambda: Table("a.csv", decimal=";"), "Table: decimal"),
        (lambda: Table("a.csv", decimal=","), "Table: decimal"),
        (lambda: Table("a.csv", encoding="utf-99"), "Table: encoding"),
        (lambda: Table("a.csv", encoding="base64"), "Table: encoding"),
        (lambda: Table("a.csv", encoding=None), "Table: encoding"),
        (lambda: Table("a.csv", encoding=5), "Table: encoding"),
        (lambda: Resources("Patient?"), "Resources: type"),
        (lambda: Resources(5), "Resources: type"),
        (lambda: Resources("Patient", at_least=-1), "Resources: at_least"),
        (lambda: Resources("Patient", at_least=True), "Resources: at_least"),
        (lambda: Resources("Patient", code=29463), "Resources: code"),
        (lambda: Resources("Patient", unit=None), "Resources: unit"),
        (lambda: Resources("Patient", low="1"), "Resources: low"),
        (lambda: Resources("Patient", low=2, high=1), "Resources: low must not be above high"),
        (lambda: Resources("Patient", stops=1), "Resources: stops"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_declared(make, named):
    with pytest.raises(ModelError) as raised:
        make()
    assert raised.value.message.startswith(named)
    assert len(raised.value.message) < 300
