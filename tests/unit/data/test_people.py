"""How many rows and people a node's data is of, for its gate."""

import random
from dataclasses import replace

import pandas as pd
import pytest

from flame_flwr.data.expect import Column, Resources, Table, mismatches
from flame_flwr.data.people import counted
from flame_flwr.errors import ModelError, PayloadError
from flame_flwr.privacy import MinCount
from flame_flwr.privacy.evidence import Evidence

VISITS = Table("visits*.csv", {"age": Column("number")}, subject="patient")


def numbers(data, *expects):
    found = counted(Evidence(files=1), data, expects)
    assert found.files == 1
    return found.rows, found.people


def test_people_of_tables_are_the_different_subjects():
    draw = random.Random(3)
    drawn = [[draw.randrange(30) for _ in range(n)] for n in (40, 7)]
    texts = ["patient,age\n" + "".join(f"0{p},61\n" for p in rows) for rows in drawn]
    data = [{f"visits{i}.csv": text.encode()} for i, text in enumerate(texts)]
    rows = 0
    seen = []
    for person in drawn[0] + drawn[1]:
        rows += 1
        if person not in seen:
            seen.append(person)
    assert numbers(data, VISITS) == (rows, len(seen))


def test_an_empty_cell_is_nobody():
    assert numbers([{"visits.csv": b"patient,age\na,1\n,2\n,3\n"}], VISITS) == (3, 1)
    frame = pd.DataFrame({"patient": [7.0, None, None], "age": [1, 2, 3]})
    assert numbers([{"visits.csv": frame}], VISITS) == (3, 1)
    assert counted(Evidence(), [{"visits": frame}], (), "patient").people == 1


def test_rows_without_names_are_somebodys():
    """Of no people at all, rules let everything be said."""
    nobody = [{"visits.csv": b"patient,age\n,1\n,x\n,3\n"}]
    assert numbers(nobody, VISITS) == (3, 1)
    assert [each.rows for each in mismatches([VISITS], nobody)] == [1]
    frame = pd.DataFrame({"patient": [None, None], "age": [1, 2]})
    for data in (nobody, [{"visits": frame}], frame):
        assert counted(Evidence(), data, (), "patient").people == 1
    with pytest.raises(PayloadError, match="fewer than 5 people"):
        MinCount(5).weigh(replace(counted(Evidence(), nobody, [VISITS]), unseen=1))


def test_an_empty_cell_is_no_person():
    text = "patient,age\n" + "".join(f"{person},x\n" for person in ("a", "b", "c", "d", "", ""))
    [odd] = mismatches([VISITS], [{"visits.csv": text.encode()}])
    assert odd.rows == 4
    [few] = mismatches([replace(VISITS, columns={}, min_rows=9)], [{"visits.csv": text.encode()}])
    assert few.rows == 4


@pytest.mark.parametrize(
    "data",
    [
        [{"visits.csv": b"person,age\na,1\n"}],
        [{"visits.csv": b"\xff\xfe\xff"}],
        [{"visits.csv": b""}],
        [{"visits.csv": {"resourceType": "Bundle"}}],
        [{"others.csv": b"patient\na\n"}],
        [],
        None,
        3,
        "visits",
        [3],
    ],
)
def test_what_cannot_be_counted_is_not_known(data):
    assert numbers(data, VISITS) == (None, None)


def test_a_table_without_subject_is_not_read():
    assert numbers([{"visits.csv": b"patient\na\n"}], Table("visits.csv")) == (None, None)


def test_of_a_data_frame_the_rows_are_known():
    assert numbers(pd.DataFrame({"age": range(7)})) == (7, None)


def test_people_of_bundles_are_whose_resources_are():
    resources = [
        {"resourceType": "Patient", "id": "1"},
        {"resourceType": "Observation", "subject": {"reference": "Patient/1"}},
        {"resourceType": "Observation", "subject": {"reference": "http://a/fhir/Patient/2"}},
        {"resourceType": "Immunization", "patient": {"reference": "Patient/3"}},
        {"resourceType": "Observation", "subject": {"display": "Maria"}},
        {"resourceType": "Organization"},
    ]
    bundle = {"resourceType": "Bundle", "entry": [{"resource": each} for each in resources]}
    assert numbers([{"Observation": bundle}], Resources("Observation")) == (None, 3)
    assert numbers([{"Observation": {**bundle, "entry": []}}]) == (None, None)
    assert numbers([{"Observation": {"resourceType": "Bundle", "entry": 3}}]) == (None, None)


ONE, TWO = "Patient/1", "Patient/2"
UUID = "urn:uuid:0C3151BD-1CBF-4D64-B04D-CD9187A4C6E0"


@pytest.mark.parametrize(
    ("of", "people"),
    [
        ([ONE, "Patient/1/_history/7", "https://x/fhir/Patient/1", "https://x/Patient/1/"], 1),
        (["https://x/fhir/Patient/1/_history/2", "https://y/Patient/2/_history/2"], 2),
        ([ONE, "https://x/Patient/1#a", "https://x/Patient/1?b=c"], 1),
        ([ONE, UUID, UUID.lower()], 1),  # of the patient in the bundle
        ([UUID.replace("0C", "0D"), UUID.replace("0C", "0E")], 2),
        ([ONE, TWO, UUID.replace("0C", "0D")], 2),  # who may be one of the two
        (["#p", "#q"], 1),  # each within its own resource: they may be one person
        ([{"identifier": {"system": "a", "value": value}} for value in "121"], 2),
        ([{"identifier": {"system": system, "value": "1"}} for system in "abc"], 1),
        ([ONE, {"identifier": {"value": "1"}, "type": "Patient"}], 1),
        (["Patient?identifier=a|1", "Patient?identifier=a|2"], 2),
        (
            ["Group/1", "https://x/fhir/Device/1/_history/3", {"identifier": 3}, {"reference": 3}],
            None,
        ),
        ([{"identifier": {"value": "1"}, "type": "Device"}, "", {}], None),
    ],
)
def test_one_person_counts_once_by_whatever_name(of, people):
    patient = {"fullUrl": UUID, "resource": {"resourceType": "Patient", "id": "1"}}
    entries = [patient] if UUID in of else []
    for each in of:
        subject = {"reference": each} if isinstance(each, str) else each
        entries.append({"resource": {"resourceType": "Observation", "subject": subject}})
    bundle = {"resourceType": "Bundle", "entry": entries}
    assert numbers([{"Observation": bundle}]) == (None, people)


def test_patients_without_id_go_by_their_address():
    patients = [
        {"fullUrl": url, "resource": {"resourceType": "Patient"}} for url in (UUID, UUID, "x:1")
    ]
    assert numbers([{"Patient": {"resourceType": "Bundle", "entry": patients}}]) == (None, 2)


def test_a_missing_subject_is_found_at_hello():
    found = mismatches([VISITS], [{"visits.csv": b"person,age\na,1\n"}])
    assert [each.text for each in found] == ["visits*.csv has no column 'patient'"]
    both = Table("visits.csv", {"patient": Column()}, subject="patient")
    assert len(mismatches([both], [{"visits.csv": b"age\n1\n"}])) == 1
    with pytest.raises(ModelError, match="Table: subject"):
        Table("visits.csv", subject=3)


def test_a_column_says_whose_the_rows_are():
    """30 rows of 3 people: of a part that no rule looks into, the people count."""
    frame = pd.DataFrame({"person": [n % 3 for n in range(30)], "age": range(30)})
    file = frame.to_csv(index=False).encode()
    for data in (frame, [{"visits": frame}], [{"visits.csv": file, "other.csv": b"a\n1\n"}]):
        found = counted(Evidence(), data, (), "person")
        assert (found.rows, found.people) == (30, 3)
        assert counted(Evidence(), data, (), "nobody").people is None
    both = counted(Evidence(), [{"a": frame}, {"b.csv": b"person\n2\n7\n\n"}], (), "person")
    assert (both.rows, both.people) == (32, 4)
