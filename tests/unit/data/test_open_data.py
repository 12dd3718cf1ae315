"""From locations to data: functions, several sources, partitions; and the splits of local tests."""

import sys

import pytest

from flame_flwr.config import NodeSettings
from flame_flwr.data import FolderSource, SplitData, open_data
from flame_flwr.data.local_paths import missing_paths
from flame_flwr.errors import ConfigError, DataError

FILES = {"a.csv": b"a", "b.csv": b"b"}
MODULE = """
calls = []
not_a_function = 3

def files(context):
    calls.append(context)
    return {"n.csv": str(context.node_config["partition-id"]).encode(), "m.csv": b"m"}

def table(context):
    return [1, 2, context.node_id]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "node 1 data").mkdir()
    for name, content in FILES.items():
        (tmp_path / "node 1 data" / name).write_bytes(content)
    return tmp_path / "node 1 data"


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "made_up_hospital.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "made_up_hospital"
    sys.modules.pop("made_up_hospital", None)


def message_of(data, *call):
    with pytest.raises(DataError) as raised:
        getattr(data, call[0])(*call[1:])
    return raised.value.message


# ---- folders by URL -------------------------------------------------------------------------


def test_a_file_url_means_the_same_folder(folder, context):
    for url in (folder.as_uri(), f"file://localhost{folder.as_uri()[7:]}"):
        assert "%20" in url
        assert open_data(url, context()).load("s3", None) == [FILES]
    assert FolderSource(folder, "data source 1").type == "folder"


@pytest.mark.parametrize("end", ["#x", "?x", "#", "?"])
def test_signs_that_end_a_path_are_refused(folder, context, end):
    with pytest.raises(ConfigError, match="`#` must be written as %23") as raised:
        open_data(folder.as_uri() + end, context())
    assert str(folder) not in raised.value.message
    odd = (folder / end).absolute()
    odd.mkdir()
    (odd / "a.csv").write_bytes(b"a")
    assert open_data(odd.as_uri(), context()).load("s3", None) == [{"a.csv": b"a"}]


# ---- functions ------------------------------------------------------------------------------


def test_a_function_is_called_with_the_nodes_context(module, context):
    node = context({"partition-id": 4})
    data = open_data(f"{module}:files", node)
    data.check()  # imports it, and does not call it
    assert sys.modules[module].calls == []
    assert data.load("s3", None) == [{"n.csv": b"4", "m.csv": b"m"}]
    assert data.load("s3", ["m.csv"]) == [{"m.csv": b"m"}]
    assert all(call is node for call in sys.modules[module].calls)
    assert len(sys.modules[module].calls) == 2
    missing = "data source 1 has no 'x.csv', which the query names"
    assert message_of(data, "load", "s3", ["x.csv"]) == missing


def test_a_function_may_return_the_data_itself(folder, module, context):
    node = context(node_id=3)
    assert open_data(f"{module}:table", node).load("s3", None) == [1, 2, 3]
    both = open_data(f"{folder};{module}:table", node)
    assert both.load("s3", None) == [FILES, [1, 2, 3]]


@pytest.mark.parametrize("call", [("check",), ("load", "s3", None)])
@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("made_up_hospital:nothing", "the function that `data` in the node's config names cannot"),
        ("no_such_package.at_all:f", "the function that `data` in the node's config names cannot"),
        (
            "made_up_hospital:not_a_function",
            "what `data` in the node's config names is not a funct",
        ),
    ],
)
def test_what_is_no_function_is_in_the_detail(module, context, reference, said, call):
    with pytest.raises(DataError) as raised:
        getattr(open_data(reference, context()), call[0])(*call[1:])
    assert raised.value.message.startswith(f"data source 1: {said}")
    assert reference in raised.value.detail


# ---- locations ------------------------------------------------------------------------------


def test_sources_give_a_dict_each_in_order(folder, module, context):
    node = context({"partition-id": 0})
    data = open_data(f" {module}:files ; {folder} ;; {folder.as_uri()}", node)
    assert data.load("s3", None) == [{"n.csv": b"0", "m.csv": b"m"}, FILES, FILES]
    assert data.describe() == [
        {"id": "1", "name": "data source 1", "type": "function"},
        {"id": "2", "name": "data source 2", "type": "folder"},
        {"id": "3", "name": "data source 3", "type": "folder"},
    ]


def test_every_source_is_checked(folder, tmp_path, context):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.csv").write_bytes(b"1")
    data = open_data(f"{folder};{tmp_path / 'other'}", context())
    assert data.load("s3", ["a.csv"]) == [{"a.csv": b"a"}, {"a.csv": b"1"}]
    assert "data source 2 has no 'b.csv'" in message_of(data, "load", "s3", ["b.csv"])
    data = open_data(f"{folder};{tmp_path / 'missing'};no_such_package:f", context())  # reads none
    assert "data source 2: the data folder does not exist" in message_of(data, "check")


def test_the_partition_is_filled_in_wherever_it_stands(tmp_path, context):
    for i in (2, 3):
        (tmp_path / f"p{i}" / f"a-{i}.csv").mkdir(parents=True)
        (tmp_path / f"p{i}" / f"a-{i}.csv" / "x").write_bytes(str(i).encode())
        node = context({"partition-id": i})
        data = open_data(f"{tmp_path}/p{{partition-id}}/a-{{partition-id}}.csv", node)
        assert data.load("s3", None) == [{"x": str(i).encode()}]


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("data", "must be absolute"),
        ("./data", "must be absolute"),
        ("~/data", "must be absolute"),
        ("data/0", "working directories"),
        ("s3a://bucket/x", "takes a folder's path, file:///path, s3://bucket/prefix"),
        ("https://host/x", "or package.module:function"),
        ("file://server/share", "takes a folder's path, file:///path, s3://bucket/prefix"),
        ("", "names no location"),
        (" ; ", "names no location"),
    ],
)
def test_a_wrong_location_is_in_the_detail_only(context, location, said):
    with pytest.raises(ConfigError) as raised:
        open_data(location, context({"partition-id": 0}))
    assert "`data` in the node's config" in raised.value.message
    assert said in raised.value.message
    assert raised.value.detail == (location if location.strip(" ;") else None)


@pytest.mark.parametrize("query", [None, [], ["Patient"]])
def test_a_folder_of_other_files_answers_no_search(folder, context, query):
    data = open_data(str(folder), context())
    said = message_of(data, "load", "fhir", query)
    if query:
        assert said.startswith("data source 1 has no file for the query 'Patient'")
        assert str(folder) not in said
    else:
        assert "FHIR data needs a query, such as query='Patient?_count=100'" in said


def test_check_finds_that_there_is_no_bundle(folder, context):
    data = open_data(str(folder), context())
    (folder / "other.json").write_text('{"resourceType": "Patient"}')
    none = "no file of the data folder itself is a FHIR Bundle"
    assert none in message_of(data, "check", "fhir", None)
    (folder / "Patient.json").write_text('{"resourceType": "Bundle"}')
    data.check("fhir", None)
    data.check("fhir", ["Patient?_count=10"])
    said = message_of(data, "check", "fhir", ["Patient", "Observation"])
    assert "has no file for the query 'Observation'" in said


# ---- splits of a local test -----------------------------------------------------------------


@pytest.mark.parametrize("split", [None, 3, [1, 2], {"a": b"1"}, "text", [{"a": b"1"}, 3]])
@pytest.mark.parametrize("query", [None, [], "a", ["zzz"]])
def test_a_split_reaches_the_analyzer_as_it_is(split, query):
    data = SplitData(split)
    data.check()
    assert data.load("s3", query) is split
    assert data.load("fhir", query) is split
    assert data.describe() == [{"id": "split", "name": "split", "type": "local"}]


def test_a_query_selects_from_splits_of_files():
    data = SplitData([{"a": b"1", "b": b"2"}, {"a": b"3"}])
    assert data.load("s3", None) == [{"a": b"1", "b": b"2"}, {"a": b"3"}]
    assert data.load("s3", ["a"]) == [{"a": b"1"}, {"a": b"3"}]
    with pytest.raises(DataError, match="source 2 has no 'b', which the query names"):
        data.load("s3", ["b"])


def test_an_impossible_path_is_missing(context):
    location = "file:///srv/a%00b"
    settings = NodeSettings(data=location)
    assert [str(path) for path in missing_paths(settings)] == ["/srv/a\0b"]
    assert "the data folder does not exist" in message_of(open_data(location, context()), "check")
