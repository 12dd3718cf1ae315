"""What is not as expected of the answers to FHIR searches: counts, codes, values, units."""

import pytest

from flame_flwr.data.expect import Resources, mismatches


def texts(expectation, data):
    return [mismatch.text for mismatch in mismatches([expectation], data)]


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
        "an answer to a search is not a Bundle"
    ]


def component(code, **value):
    return {"code": {"coding": [{"code": code}]}, **value}


def kg(value, unit="kg"):
    return {"valueQuantity": {"value": value, "unit": unit}}


def panel(*components, **own):
    return {**weight(code="panel"), "valueQuantity": None, "component": list(components), **own}


NO_NUMBER = "Observation with the code 29463-7: values that are not numbers"
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
    assert texts(WEIGHT, [{"Observation": bundle(weight(), weight(), odd)}]) == []
    assert texts(Resources("Observation", at_least=1, low=1), [{"x": bundle(odd)}]) == [
        "Observation: no valueQuantity in some of them"
    ]


def test_resources_that_only_tell_do_not_stop():
    tells = Resources("Observation", low=1, stops=False)
    data = [{"Observation": bundle(weight(value=0), {**weight(), "valueQuantity": None})}]
    assert [found.stops for found in mismatches([tells], data)] == [False, False]


def test_no_value_is_needed_without_unit_and_bounds():
    assert texts(Resources("Patient"), [{"Patient": bundle({"resourceType": "Patient"})}]) == []
