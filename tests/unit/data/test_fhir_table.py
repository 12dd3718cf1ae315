"""``fhir_to_csv`` of observations: tables written down by hand, from pages of bundles."""

import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame_flwr.data import fhir_to_csv
from flame_flwr.errors import DataError, ModelError

from .fhir_bundles import NEXT, bundle


def observation(patient, code, value, unit="kg"):
    return {
        "fullUrl": f"urn:{patient}:{code}",
        "resource": {
            "resourceType": "Observation",
            "subject": {"reference": f"Patient/{patient}"},
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {"value": value, "unit": unit},
        },
        "search": {"mode": "match"},
    }


def table(data, **more):
    arguments = {
        "col_key_seq": "resource.code.coding.code",
        "value_key_seq": "resource.valueQuantity.value",
        "input_resource": "Observation",
        "row_key_seq": "resource.subject.reference",
        "row_col_name": "patient",
    }
    return fhir_to_csv(data, **{**arguments, **more})


FOUR = [
    observation("1", "weight", 70.5),
    observation("2", "height", 181),
    observation("1", "height", 175),
    observation("3", "weight", 88.0),
]

FOUR_AS_CSV = (
    "patient,weight,height\nPatient/1,70.5,175\nPatient/2,,181\nPatient/3,88.0,"  # by hand
)


def test_rows_and_columns_keep_the_entries_order():
    assert table(bundle(*FOUR)).getvalue() == FOUR_AS_CSV
    assert table(bundle(*FOUR), output_type="dict") == {
        "weight": {"Patient/1": 70.5, "Patient/3": 88.0},
        "height": {"Patient/2": 181, "Patient/1": 175},
    }
    assert table({"resourceType": "Bundle", "total": 0}).getvalue() == "patient"


def test_pandas_reads_the_table():
    frame = pd.read_csv(table(bundle(*FOUR)), index_col="patient")
    assert list(frame.columns) == ["weight", "height"]
    assert frame.loc["Patient/1"].tolist() == [70.5, 175.0]
    assert frame["weight"].isna().tolist() == [False, True, False]


def test_arguments_keep_the_order_of_the_reference():
    text = fhir_to_csv(
        bundle(*FOUR),
        "resource.subject.reference",
        "resource.valueQuantity.value",
        "Observation",
        "resource.code.coding.code",
        ["weight"],
        None,
        "code",
        ";",
        "file",
    ).getvalue()
    assert text == "code;Patient/1;Patient/3\nweight;70.5;88.0"


def components(patient, gene, count):
    """An expression count as the reference's users have it: two components, one key in each."""
    return {
        "resource": {
            "resourceType": "Observation",
            "subject": {"reference": patient},
            "component": [
                {"valueCodeableConcept": {"coding": [{"display": "?"}, {"code": gene}]}},
                {"valueQuantity": {"value": count}},
            ],
        }
    }


def test_in_lists_the_first_fitting_element_counts():
    found = fhir_to_csv(
        bundle(components("P1", "ENSG3", 1192), components("P2", "ENSG5", 0)),
        col_key_seq="resource.subject.reference",
        value_key_seq="resource.component.valueQuantity.value",
        input_resource="Observation",
        row_key_seq="resource.component.valueCodeableConcept.coding.code",
        output_type="dict",
    )
    assert found == {"P1": {"ENSG3": 1192}, "P2": {"ENSG5": 0}}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"row_id_filters": ["/1", "/3"]}, {"Patient/1", "Patient/3"}),
        ({"row_id_filters": "/1"}, {"Patient/1"}),
        ({"row_id_filters": ["nobody"]}, set()),
        ({"row_id_filters": []}, {"Patient/1", "Patient/2", "Patient/3"}),
        ({"col_id_filters": ["eig"]}, {"Patient/1", "Patient/2", "Patient/3"}),
        ({"col_id_filters": ["weig"]}, {"Patient/1", "Patient/3"}),
        ({"col_id_filters": ["weig"], "row_id_filters": ["/1", "/2"]}, {"Patient/1"}),
    ],
)
def test_filters_keep_what_contains_one_of_them(more, expected):
    lines = table(bundle(*FOUR), **more).getvalue().split("\n")[1:]
    assert {line.partition(",")[0] for line in lines} == expected


def test_of_several_values_the_last_counts(warnings):
    entries = [observation("1", "weight", value) for value in (70, 71, None)]
    assert table(bundle(*entries), output_type="dict") == {"weight": {"Patient/1": 71}}
    assert warnings() == ["fhir_to_csv: 2 values had a cell that was taken; the last one counts"]


def test_only_a_missing_value_is_an_empty_cell(warnings):
    entries = [observation("1", "a", None), observation("2", "b", 0), observation("2", "a", False)]
    del entries[0]["resource"]["valueQuantity"]
    assert table(bundle(*entries)).getvalue() == "patient,a,b\nPatient/1,,\nPatient/2,False,0"
    assert table(bundle(*entries), output_type="dict")["a"] == {
        "Patient/1": None,
        "Patient/2": False,
    }
    assert warnings() == []


def test_values_without_place_are_left_out_and_said(warnings):
    entries = [observation(str(i), "a", i) for i in range(4)]
    del entries[1]["resource"]["subject"]
    entries[2]["resource"]["code"] = {"text": "no coding"}
    assert table(bundle(*entries)).getvalue() == "patient,a\nPatient/0,0\nPatient/3,3"
    assert warnings() == ["fhir_to_csv: 2 values without row or column are left out"]


def test_resources_of_other_types_are_passed_over():
    others = [
        {"resource": {"resourceType": "Patient", "id": "1"}, "search": {"mode": "include"}},
        {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}},
        {"response": {"status": "200"}},
    ]
    assert table(bundle(*others[:2], *FOUR, *others[:2])).getvalue() == FOUR_AS_CSV
    untyped = observation("1", "weight", 70)
    del untyped["resource"]["resourceType"]
    assert table({"entry": [untyped]}).getvalue() == "patient,weight\nPatient/1,70"


def test_the_last_key_finds_choice_types_only():
    def found(resource):
        entry = {"resource": {"r": "r", "c": "c", **resource}}
        return fhir_to_csv(
            bundle(entry),
            "resource.c",
            "resource.value",
            "Observation",
            "resource.r",
            output_type="dict",
        )["c"]["r"]

    assert found({"valueDecimal": 1.5}) == 1.5
    assert found({"value": 1, "valueDecimal": 2}) == 1
    for other in ({"values": 1}, {"_valueString": {}}, {"minvalue": 3}, {"Value": 1}):
        assert found(other) is None


def test_objects_are_json_in_the_csv_only():
    data = bundle(observation("1", "weight", 70))
    quantity = {"value": 70, "unit": "kg"}
    assert table(data, value_key_seq="resource.valueQuantity", output_type="dict") == {
        "weight": {"Patient/1": quantity}
    }
    assert table(data, value_key_seq="resource.valueQuantity").getvalue() == (
        'patient,weight\nPatient/1,"{""value"": 70, ""unit"": ""kg""}"'
    )
    assert list(table(data, col_key_seq="resource.subject", output_type="dict")) == [
        '{"reference": "Patient/1"}'
    ]


def test_quotes_and_line_breaks_are_quoted():
    entries = [
        observation('Ann "A", 1', "weight, kg", "a\nb"),
        observation("2", "x", "Größe ≥ 2 🙂"),
    ]
    assert table(bundle(*entries)).getvalue() == (
        'patient,"weight, kg",x\n"Patient/Ann ""A"", 1","a\nb",\nPatient/2,,Größe ≥ 2 🙂'
    )


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1), st.sampled_from(",;\t| "))
def test_any_text_survives_a_csv_reader(cells, separator):
    data = bundle(*(observation(row, column, value) for row, column, value in cells))
    expected = {}
    for row, column, value in cells:
        expected[f"Patient/{row}", column] = value
    text = table(data, separator=separator).getvalue()
    header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    assert header == ["patient", *dict.fromkeys(column for _, column, _ in cells)]
    assert [row[0] for row in rows] == [*dict.fromkeys(f"Patient/{row}" for row, _, _ in cells)]
    for row in rows:
        for column, value in zip(header[1:], row[1:], strict=True):
            assert value == expected.get((row[0], column), "")


def test_pages_become_one_table():
    pages = [bundle(*FOUR[:3], link=NEXT, total=4), bundle(*FOUR[3:], total=4)]
    assert table(pages).getvalue() == FOUR_AS_CSV
    with pytest.raises(DataError, match="links to a next one"):
        table(pages[0])


@pytest.mark.parametrize("data", [None, 3, "text", {}, {"Patient": bundle()}, [bundle(), None]])
def test_an_error_says_where_the_bundle_is(data):
    with pytest.raises(DataError, match=r"data\[0\]\[query\]"):
        table(data)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"input_resource": "Patient"}, "input_resource is one of Observation, Questionnaire"),
        ({"row_key_seq": None}, "an Observation needs row_key_seq"),
        ({"col_key_seq": ""}, "col_key_seq is keys with dots between"),
        ({"row_key_seq": ["a"]}, "row_key_seq is keys with dots between"),
        ({"separator": ", "}, "separator is one character"),
        ({"separator": '"'}, "separator is one character"),
        ({"output_type": "csv"}, "output_type is 'file' or 'dict'"),
    ],
)
def test_an_error_says_what_is_right(more, message):
    with pytest.raises(ModelError) as raised:
        table(bundle(*FOUR), **more)
    assert message in raised.value.message
