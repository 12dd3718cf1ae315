"""FHIR bundles from a folder: which file answers a query, pages, and what is refused."""

import json
from urllib.parse import quote

import pytest

from flame_flwr.data import open_data, read_folder
from flame_flwr.errors import DataError, ModelError

SECRET = "Maria Muster"


def bundle(*ids, **more):
    entries = [{"resource": {"resourceType": "Patient", "id": id}} for id in ids]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries, **more}


def ids(found):
    return [entry["resource"]["id"] for entry in found["entry"]]


def to_next(url="https://example.org/fhir?page=2"):
    return [{"relation": "self", "url": "https://example.org"}, {"relation": "next", "url": url}]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def put(folder, **or_names):
    for name, content in or_names.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def load(folder, query, context=None):
    return read_folder(folder, "fhir", query)


def refused(folder, query):
    with pytest.raises(DataError) as raised:
        load(folder, query)
    assert str(folder) not in raised.value.message
    assert SECRET not in raised.value.message
    return raised.value


# ---- which file -----------------------------------------------------------------------------


def test_the_resource_type_names_the_file(folder):
    put(folder, **{"Patient.json": bundle("a", "b", total=2)})
    query = "Patient?_count=100"
    assert load(folder, query) == [{query: bundle("a", "b", total=2)}]
    assert load(folder, ["Patient"]) == [{"Patient": bundle("a", "b", total=2)}]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("Patient?_count=100", "Patient%3F_count%3D100.json"),
        ("Observation?code=4548-4", "Observation%3Fcode%3D4548-4.json"),
        (
            "Observation?code=http://loinc.org|4548-4&_sort=-date",
            "Observation%3Fcode%3Dhttp%3A%2F%2Floinc.org%7C4548-4%26_sort%3D-date.json",
        ),
        ("Patient/17", "Patient%2F17.json"),
        ("Patient?name=Jürgen", "Patient%3Fname%3DJ%C3%BCrgen.json"),
    ],
)
def test_the_query_percent_encoded_comes_first(folder, query, name):
    assert name == quote(query, safe="") + ".json"
    put(folder, **{name: bundle("exact"), "Patient.json": bundle(), "Observation.json": bundle()})
    [found] = load(folder, query)
    assert ids(found[query]) == ["exact"]


def test_queries_and_sources_keep_their_order(tmp_path, context):
    for name in "ab":
        (tmp_path / name).mkdir()
        put(
            tmp_path / name,
            **{"Patient.json": bundle(name), "Encounter.json": bundle(name + name)},
        )
    data = open_data(f"{tmp_path / 'a'};{tmp_path / 'b'}", context())
    found = data.load("fhir", ["Encounter", "Patient?active=true"])
    assert [list(each) for each in found] == [["Encounter", "Patient?active=true"]] * 2
    assert [[ids(value) for value in each.values()] for each in found] == [
        [["aa"], ["a"]],
        [["bb"], ["b"]],
    ]


@pytest.mark.parametrize(("first", "form"), [(1, "{}"), (0, "{:02}")])
def test_pages_become_one_bundle_by_their_numbers(folder, first, form):
    numbers = range(first, first + 11)
    for number in numbers:
        more = {"total": 11} if number == 1 else {}
        page = bundle(f"p{number}", **more, link=to_next()[: 1 if number == numbers[-1] else 2])
        text = json.dumps(page)  # a byte order mark does no harm
        (folder / f"Patient-{form.format(number)}.json").write_text(text, encoding="utf-8-sig")
    [found] = load(folder, "Patient?_count=1")
    whole = found["Patient?_count=1"]
    assert ids(whole) == [f"p{number}" for number in numbers]
    assert whole.get("total") == (11 if first else None)  # the first page's, or none
    assert whole["link"] == [{"relation": "self", "url": "https://example.org"}]
    assert whole["type"] == "searchset"


def test_pages_of_a_query_have_a_comma(folder):
    put(
        folder,
        **{
            "Observation%3Fdate%3D2024,1.json": bundle("first"),
            "Observation%3Fdate%3D2024,2.json": bundle("second"),
            "Observation%3Fdate%3D2024-1.json": bundle("january"),
        },
    )
    [found] = load(folder, ["Observation?date=2024", "Observation?date=2024-1"])
    assert ids(found["Observation?date=2024"]) == ["first", "second"]
    assert ids(found["Observation?date=2024-1"]) == ["january"]


def test_only_what_is_asked_for_is_read(folder):
    put(folder, **{"Patient.json": bundle("a")})
    (folder / "Encounter.json").symlink_to("/proc/self/mem")
    (folder / "deeper").mkdir()
    put(folder / "deeper", **{"Observation.json": bundle("b")})
    assert ids(load(folder, "Patient")[0]["Patient"]) == ["a"]
    refused(folder, "Observation")


def test_an_empty_result_is_a_bundle_without_entries(folder):
    put(folder, **{"Patient.json": {"resourceType": "Bundle", "total": 0}})
    assert load(folder, "Patient") == [{"Patient": {"resourceType": "Bundle", "total": 0}}]


# ---- refused --------------------------------------------------------------------------------


def test_a_missing_file_names_what_was_looked_for(folder):
    put(folder, **{"Encounter.json": bundle(), "patient.json": bundle()})
    assert refused(folder, "Patient?_count=100").message == (
        "data source 1 has no file for the query 'Patient?_count=100'. Looked for, first match "
        "wins: Patient%3F_count%3D100.json, Patient%3F_count%3D100,1.json, Patient.json, "
        "Patient-1.json"
    )
    assert refused(folder, "Patient").message.endswith("wins: Patient.json, Patient-1.json")


def test_all_resources_do_not_answer_for_one(folder):
    put(folder, **{"Patient.json": bundle("a")})
    assert "Patient.json" not in refused(folder, "Patient/17").message


def test_one_file_is_no_answer_to_two_queries(folder):
    put(folder, **{"Patient.json": bundle("a")})
    message = refused(folder, ["Patient?gender=male", "Patient?gender=female"]).message
    assert "would be answered by the same file" in message
    assert "Patient%3Fgender%3Dmale.json, Patient%3Fgender%3Dfemale.json" in message
    assert len(load(folder, ["Patient", "Patient"])) == 1


def test_a_whole_file_beside_pages_is_refused(folder):
    put(folder, **{"Patient.json": bundle("a"), "Patient-1.json": bundle("b")})
    error = refused(folder, "Patient")
    assert "there is a whole file and there are pages" in error.message
    assert error.detail == "Patient.json, Patient-1.json"


@pytest.mark.parametrize("numbers", [["2", "3"], ["1", "3"], ["0", "2"], ["1", "01", "2"]])
def test_missing_and_repeated_pages_are_refused(folder, numbers):
    for number in numbers:
        put(folder, **{f"Patient-{number}.json": bundle("a")})
    assert "are not numbered from 0 or 1 without gaps" in refused(folder, "Patient").message


def test_a_last_page_with_a_next_is_refused(folder):
    put(folder, **{"Patient.json": bundle("a", total=2, link=to_next())})
    error = refused(folder, "Patient")
    assert "links to a next one that is not there" in error.message
    assert error.detail == "Patient.json"
    put(folder, **{"Patient.json": bundle("a", "b", total=2, link=to_next())})  # a stale link
    assert ids(load(folder, "Patient")[0]["Patient"]) == ["a", "b"]


@pytest.mark.parametrize("content", ["", "{", f"{{'name': '{SECRET}'}}", "[" * 100_000, "\xff"])
def test_no_content_is_said_of_bad_json(folder, content):
    (folder / "Patient.json").write_bytes(content.encode("latin-1"))
    error = refused(folder, "Patient")
    assert error.message == "data source 1: a file for the query 'Patient' is not valid JSON"
    assert "Patient.json" in error.detail
    assert SECRET not in str(error)


@pytest.mark.parametrize(
    "content",
    [
        [],
        "text",
        None,
        {"resourceType": "Patient", "name": SECRET},
        {"entry": [{"resource": {"name": SECRET}}]},
        {"resourceType": "Bundle", "entry": {"name": SECRET}},
        {"resourceType": "Bundle", "entry": [SECRET]},
    ],
)
def test_no_content_is_said_of_other_resources(folder, content):
    put(folder, **{"Patient.json": content})
    error = refused(folder, "Patient")
    assert error.message.startswith("data source 1: a file for the query 'Patient' is")
    assert "Bundle" in error.message
    assert SECRET not in str(error)


@pytest.mark.parametrize("query", [None, [], ""])
def test_no_query_is_an_error(folder, query):
    put(folder, **{"Patient.json": bundle("a")})
    if query == "":
        refused(folder, query)
    else:
        assert "FHIR data needs a query" in refused(folder, query).message


def test_read_folder_knows_two_kinds_of_data(folder):
    with pytest.raises(ModelError, match="'s3' or 'fhir'"):
        read_folder(folder, "none")


def test_the_log_says_that_folders_do_not_filter(folder, caplog):
    caplog.set_level("INFO", logger="flame_flwr")
    put(folder, **{"Patient.json": bundle("a"), "Encounter%3Fx%3D1.json": bundle("b")})
    load(folder, ["Patient?gender=female", "Encounter?x=1"])
    [record] = caplog.records
    assert "'Patient?gender=female' is answered by the files of Patient as they are" in (
        record.getMessage()
    )
