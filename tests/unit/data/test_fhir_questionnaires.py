"""``fhir_to_csv`` of questionnaires: a row per response, a column per question."""

import pytest

from flame_flwr.data import fhir_to_csv
from flame_flwr.errors import ModelError

from .fhir_bundles import NEXT, bundle


def answers(*pairs):
    """Return a QuestionnaireResponse with an item per (linkId, answer)."""
    items = [{"linkId": key, "answer": [answer]} for key, answer in pairs]
    return {"resource": {"resourceType": "QuestionnaireResponse", "item": items}}


def questions(data, **more):
    arguments = {
        "col_key_seq": "resource.item.linkId",
        "value_key_seq": "resource.item.answer.value",
        "input_resource": "QuestionnaireResponse",
    }
    return fhir_to_csv(data, **{**arguments, **more})


RESPONSES = [
    answers(("age", {"valueDecimal": 25.0}), ("sex", {"valueString": "F"})),
    answers(("sex", {"valueString": "M"})),
    answers(("age", {"valueInteger": 40}), ("note", {"valueString": 'says "hi", twice'})),
]

RESPONSES_AS_CSV = 'row,age,sex,note\n0,25.0,F,\n1,,M,\n2,40,,"says ""hi"", twice"'  # by hand


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bundle(*RESPONSES), id="merged"),
        pytest.param([bundle(*RESPONSES[:2], link=NEXT), bundle(*RESPONSES[2:])], id="two pages"),
        pytest.param(
            bundle({"resource": {"resourceType": "Patient"}}, *RESPONSES), id="with a patient"
        ),
    ],
)
def test_rows_are_numbered_and_keep_counting_over_pages(data):
    assert questions(data, row_col_name="row").getvalue() == RESPONSES_AS_CSV


def test_a_response_without_items_has_no_row():
    empty = {"resource": {"resourceType": "QuestionnaireResponse"}}
    data = bundle(empty, answers(("age", {"valueInteger": 1})))
    assert questions(data).getvalue() == ",age\n1,1"
    filtered = questions(bundle(*RESPONSES), col_id_filters=["note", "zzz"])
    assert filtered.getvalue() == ',note\n2,"says ""hi"", twice"'


def test_questions_in_groups_have_a_key_more():
    groups = [
        {"linkId": "g1", "item": [{"linkId": "a", "answer": [{"valueInteger": 1}]}]},
        {
            "linkId": "g2",
            "item": [
                {"linkId": "b", "answer": [{"valueBoolean": False}]},
                {"linkId": "c", "answer": [{"valueCoding": {"code": "x", "display": "X"}}]},
            ],
        },
    ]
    data = bundle({"resource": {"resourceType": "QuestionnaireResponse", "item": groups}})
    found = questions(
        data,
        col_key_seq="resource.item.item.linkId",
        value_key_seq="resource.item.item.answer.value",
        output_type="dict",
    )
    assert found == {
        "a": {"0": 1},
        "b": {"0": False},
        "c": {"0": {"code": "x", "display": "X"}},
    }


def test_arguments_without_effect_are_said(warnings):
    text = questions(
        bundle(*RESPONSES),
        row_key_seq="resource.subject.reference",
        row_id_filters=["2"],
        row_col_name="row",
    ).getvalue()
    assert text == RESPONSES_AS_CSV
    assert warnings() == [
        "fhir_to_csv: the rows of a QuestionnaireResponse are numbers; row_key_seq and "
        "row_id_filters have no effect"
    ]


@pytest.mark.parametrize("key", ["col_key_seq", "value_key_seq"])
def test_keys_of_a_questionnaire_begin_at_its_items(key):
    with pytest.raises(ModelError, match=r"begin with 'resource\.item'"):
        questions(bundle(*RESPONSES), **{key: "linkId"})
