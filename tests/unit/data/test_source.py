"""A node's data: folders, functions, several sources, splits, and what a query selects."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flame_flwr.data import FolderSource, SplitData, open_data, read_folder
from flame_flwr.errors import ConfigError, DataError

FILES = {"b.csv": b"b", "a.csv": b"a", "visits/2/x.csv": b"x", "visits/10/y.csv": b"y"}


def fill(folder, files):
    for key, content in files.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "node 1 data", FILES)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be nobody within the block: root may read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


# ---- a folder -------------------------------------------------------------------------------


def test_a_folder_gives_files_by_relative_path(folder, context):
    [files] = open_data(str(folder), context()).load("s3", None)
    assert list(files) == ["a.csv", "b.csv", "visits/10/y.csv", "visits/2/x.csv"]
    assert files == FILES


def test_a_file_url_means_the_same_folder(folder, context):
    for url in (folder.as_uri(), f"file://localhost{folder.as_uri()[7:]}"):
        assert "%20" in url
        assert open_data(url, context()).load("s3", None) == [FILES]


@pytest.mark.parametrize("end", ["#x", "?x", "#", "?"])
def test_signs_that_end_a_path_are_refused(folder, context, end):
    with pytest.raises(ConfigError, match="`#` must be written as %23") as raised:
        open_data(folder.as_uri() + end, context())
    assert str(folder) not in raised.value.message
    odd = fill(folder / end, FILES)
    assert open_data(odd.as_uri(), context()).load("s3", None) == [FILES]


def test_what_is_not_read_is_logged_once(folder, tmp_path, context, caplog):
    fill(tmp_path / "elsewhere", {"c.csv": b"c"})
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "dangling.csv").symlink_to(tmp_path / "nothing")
    (folder / "visits" / "file.csv").symlink_to(tmp_path / "elsewhere" / "c.csv")
    data = open_data(str(folder), context())
    data.check()
    assert data.load("s3", None) == [FILES | {"visits/file.csv": b"c"}]
    [record] = caplog.records
    assert record.getMessage() == (
        "data source 1: not read, for they are links to folders, links to nothing, or no files: "
        f"{str(folder / 'dangling.csv')!r}, {str(folder / 'linked')!r}"
    )
    caplog.clear()
    for number in range(30):
        (folder / f"more-{number}").symlink_to("nowhere")
    data.check()
    assert "and 20 more" in caplog.text


@pytest.mark.parametrize(
    "name",
    [
        "sp ace.csv",
        "ünïcode.csv",
        "a&b<c>.csv",
        "quo'te\".csv",
        "100%25.csv",
        "-rf",
        ".hidden",
        "new\nline",
    ],
)
def test_odd_names_are_keys_like_any_other(tmp_path, context, name):
    fill(tmp_path / "d", {name: b"1", "z/" + name: b"2"})
    data = open_data(str(tmp_path / "d"), context())
    assert data.load("s3", None) == [{name: b"1", "z/" + name: b"2"}]
    assert data.load("s3", ["z/" + name]) == [{"z/" + name: b"2"}]


def test_names_that_are_no_utf8_are_read(tmp_path, context):
    raw = os.fsencode(tmp_path) + b"/d"
    os.mkdir(raw)
    with open(raw + b"/caf\xe9.csv", "wb") as file:
        file.write(b"1")
    [files] = open_data(str(tmp_path / "d"), context()).load("s3", None)
    assert files == {os.fsdecode(b"caf\xe9.csv"): b"1"}


def test_empty_folders_are_no_files(tmp_path, context):
    fill(tmp_path / "d", {"a": b""})
    (tmp_path / "d" / "empty").mkdir()
    assert open_data(str(tmp_path / "d"), context()).load("s3", None) == [{"a": b""}]


def test_a_link_to_a_file_is_a_file(tmp_path, context):
    fill(tmp_path / "d", {"a": b"1"})
    (tmp_path / "outside").write_bytes(b"2")
    (tmp_path / "d" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "d" / "broken").symlink_to(tmp_path / "nowhere")
    assert open_data(str(tmp_path / "d"), context()).load("s3", None) == [{"a": b"1", "link": b"2"}]


@pytest.mark.parametrize("query", [None, []])
def test_no_query_means_all_files(folder, context, query):
    assert open_data(str(folder), context()).load("s3", query) == [FILES]


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        (["b.csv"], ["b.csv"]),
        (["visits/2/x.csv", "a.csv"], ["visits/2/x.csv", "a.csv"]),
        ("a.csv", ["a.csv"]),
        (("a.csv", "b.csv"), ["a.csv", "b.csv"]),
    ],
)
def test_a_query_means_its_keys_in_order(folder, context, query, keys):
    [files] = open_data(str(folder), context()).load("s3", query)
    assert list(files) == keys
    assert all(files[key] == FILES[key] for key in keys)


def test_only_what_the_query_names_is_read(tmp_path, context):
    fill(tmp_path / "d", {"a": b"1"})
    (tmp_path / "d" / "unreadable").symlink_to("/proc/self/mem")
    assert open_data(str(tmp_path / "d"), context()).load("s3", ["a"]) == [{"a": b"1"}]


def test_a_missing_key_names_key_and_source(folder, context):
    data = open_data(f"{folder};{folder}", context())
    with pytest.raises(DataError) as raised:
        data.load("s3", ["a.csv", "labels.csv", "c.csv"])
    message = raised.value.message
    assert message == "data source 1 has no 'labels.csv', 'c.csv', which the query names"
    assert str(folder) not in str(raised.value)


@pytest.mark.parametrize("escape", ["../secret.csv", "/etc/hostname", "visits/../a.csv", "./a.csv"])
def test_a_query_cannot_leave_the_folder(folder, context, escape):
    (folder.parent / "secret.csv").write_bytes(b"secret")
    with pytest.raises(DataError, match="which the query names"):
        open_data(str(folder), context()).load("s3", [escape])


def refused(data, *call):
    """Return the error's public message; check that the path is in the detail only."""
    with pytest.raises(DataError) as raised:
        getattr(data, call[0])(*call[1:])
    return raised.value


@pytest.mark.parametrize("call", [("check",), ("load", "s3", None)])
def test_a_missing_folder_keeps_its_path_here(tmp_path, context, call):
    error = refused(open_data(str(tmp_path / "secret-place"), context()), *call)
    assert "data source 1: the data folder does not exist" in error.message
    assert "`data` in the node's config" in error.message
    assert "secret-place" not in error.message
    assert "secret-place" in str(error)


@pytest.mark.parametrize("call", [("check",), ("load", "s3", None)])
def test_an_empty_folder_keeps_its_path_here(tmp_path, context, call):
    (tmp_path / "secret-place" / "sub").mkdir(parents=True)
    error = refused(open_data(str(tmp_path / "secret-place"), context()), *call)
    assert "data source 1: the data folder is empty" in error.message
    assert "secret-place" not in error.message
    assert "secret-place" in str(error)


def test_a_file_is_no_folder(folder, context):
    error = refused(open_data(str(folder / "a.csv"), context()), "check")
    assert "is a file; name the folder" in error.message


def test_an_unreadable_file_keeps_its_name_here(tmp_path, context):
    fill(tmp_path / "d", {"a": b"1"})
    (tmp_path / "d" / "Maria Muster.csv").symlink_to("/proc/self/mem")
    error = refused(open_data(str(tmp_path / "d"), context()), "load", "s3", None)
    said = "Input/output error: data source 1: a file cannot be read (OSError)"
    assert error.message == said
    assert error.detail


@pytest.fixture
def barred():
    """A folder of files with a folder in it that nobody but root may list."""
    import shutil
    import tempfile

    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    fill(root / "d", {"a.csv": b"1", "closed/b.csv": b"2"})
    (root / "d" / "closed").chmod(0)
    yield root / "d"
    (root / "d" / "closed").chmod(0o755)
    shutil.rmtree(root)


def test_a_closed_folder_means_no_fewer_files(barred, context):
    data = open_data(str(barred), context())
    with without_privileges():
        error = refused(data, "load", "s3", None)
    assert "data source 1" in error.message
    assert "read" in error.message
    assert str(barred) not in error.message


def test_a_folder_behind_a_closed_door_fails(barred, context):
    data = open_data(str(barred / "closed" / "deeper"), context())
    with without_privileges():
        error = refused(data, "check")
    assert "data source 1" in error.message
    assert str(barred) not in error.message


def test_a_path_that_cannot_be_fails(tmp_path, context):
    error = refused(open_data(str(tmp_path / ("x" * 300)), context()), "check")
    assert "data source 1" in error.message


def test_a_folder_without_json_answers_no_search(folder, context):
    error = refused(open_data(str(folder), context()), "load", "fhir", ["Patient"])
    assert error.message.startswith("data source 1 has no file for the query 'Patient'")
    assert str(folder) not in error.message


@pytest.mark.parametrize("query", [None, []])
def test_fhir_without_a_query_shows_an_example(folder, context, query):
    error = refused(open_data(str(folder), context()), "load", "fhir", query)
    assert "FHIR data needs a query, such as query='Patient?_count=100'" in error.message


@pytest.mark.parametrize(
    ("kind", "query"), [("s3", None), ("s3", "b.csv"), ("fhir", "Patient"), ("fhir", None)]
)
def test_check_finds_files_closed_to_the_node(barred, context, kind, query):
    fill(barred, {"b.csv": b"b", "Patient.json": b'{"resourceType": "Bundle"}'})
    (barred / "closed").chmod(0o755)
    data = open_data(str(barred), context())
    with without_privileges():
        data.check(kind, query)
    for name in ("b.csv", "Patient.json"):
        (barred / name).chmod(0)
    with without_privileges():
        error = refused(data, "check", kind, query)
    assert "data source 1" in error.message
    assert str(barred) not in error.message


def test_check_finds_that_there_is_no_bundle(folder, context):
    data = open_data(str(folder), context())
    data.check()
    (folder / "other.json").write_text('{"resourceType": "Patient"}')
    assert "no file of the data folder itself is a FHIR Bundle" in (
        refused(data, "check", "fhir", None).message
    )
    (folder / "Patient.json").write_text('{"resourceType": "Bundle"}')
    data.check("fhir", None)
    data.check("fhir", ["Patient?_count=10"])
    error = refused(data, "check", "fhir", ["Patient", "Observation"])
    assert "has no file for the query 'Observation'" in error.message


def test_check_finds_missing_keys(folder, context):
    data = open_data(str(folder), context())
    data.check("s3", ["a.csv", "visits/2/x.csv"])
    assert "has no 'c.csv', which" in refused(data, "check", "s3", ["a.csv", "c.csv"]).message


def test_checking_reads_no_file(tmp_path, context):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "unreadable").symlink_to("/proc/self/mem")
    open_data(str(tmp_path / "d"), context()).check()


def test_read_folder_gives_what_an_analyzer_gets(folder, context, monkeypatch):
    assert read_folder(folder) == open_data(str(folder), context()).load("s3", None)
    monkeypatch.chdir(folder.parent)
    assert read_folder(folder.name) == [FILES]
    with pytest.raises(DataError, match=r"does not exist.*check `folder`"):
        read_folder("nowhere")


# ---- a function -----------------------------------------------------------------------------

MODULE = """
from flwr.app import Context

calls = []
not_a_function = 3

def files(context):
    calls.append(context)
    number = context.node_config["partition-id"]
    return {"n.csv": str(number).encode(), "m.csv": b"m"}

def table(context):
    return [1, 2, context.node_id]
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "made_up_hospital.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "made_up_hospital"
    import sys

    sys.modules.pop("made_up_hospital", None)


def test_a_function_is_called_with_the_nodes_context(module, context):
    node = context({"partition-id": 4})
    data = open_data(f"{module}:files", node)
    assert data.load("s3", None) == [{"n.csv": b"4", "m.csv": b"m"}]
    assert data.load("s3", ["m.csv"]) == [{"m.csv": b"m"}]
    import made_up_hospital

    assert all(call is node for call in made_up_hospital.calls)
    assert len(made_up_hospital.calls) == 2


def test_checking_a_function_does_not_call_it(module, context):
    open_data(f"{module}:files", context()).check()
    import made_up_hospital

    assert made_up_hospital.calls == []


def test_a_function_may_return_the_data_itself(module, context):
    assert open_data(f"{module}:table", context(node_id=3)).load("s3", None) == [1, 2, 3]


def test_a_functions_missing_key_is_named(module, context):
    error = refused(
        open_data(f"{module}:files", context({"partition-id": 0})), "load", "s3", ["x.csv"]
    )
    assert error.message == "data source 1 has no 'x.csv', which the query names"


@pytest.mark.parametrize("call", [("check",), ("load", "s3", None)])
@pytest.mark.parametrize("reference", ["made_up_hospital:nothing", "no_such_package.at_all:f"])
def test_what_cannot_be_imported_is_in_the_detail(module, context, reference, call):
    error = refused(open_data(reference, context()), *call)
    assert error.message == (
        "data source 1: the function that `data` in the node's config names cannot be imported"
    )
    assert reference in error.detail


def test_check_finds_what_is_no_function(module, context):
    error = refused(open_data(f"{module}:not_a_function", context()), "check")
    assert "data source 1" in error.message


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


def test_a_missing_key_names_its_source(folder, tmp_path, context):
    fill(tmp_path / "other", {"a.csv": b"1"})
    data = open_data(f"{folder};{tmp_path / 'other'}", context())
    assert data.load("s3", ["a.csv"]) == [{"a.csv": b"a"}, {"a.csv": b"1"}]
    assert "data source 2 has no 'b.csv'" in refused(data, "load", "s3", ["b.csv"]).message


def test_every_source_is_checked(folder, tmp_path, context):
    data = open_data(f"{folder};{tmp_path / 'missing'}", context())
    assert "data source 2: the data folder does not exist" in refused(data, "check").message


def test_any_value_stands_beside_other_sources(folder, module, context):
    data = open_data(f"{folder};{module}:table", context(node_id=3))
    assert data.load("s3", None) == [FILES, [1, 2, 3]]


def test_the_partition_is_filled_in_wherever_it_stands(tmp_path, context):
    fill(tmp_path, {"p2/a-2.csv/x": b"2", "p3/a-3.csv/x": b"3"})
    for i in (2, 3):
        node = context({"partition-id": i})
        data = open_data(f"{tmp_path}/p{{partition-id}}/a-{{partition-id}}.csv", node)
        assert data.load("s3", None) == [{"x": str(i).encode()}]


@pytest.mark.parametrize("location", ["data", "./data", "../data", "~/data", "data/{partition-id}"])
def test_a_relative_path_is_refused(context, location):
    with pytest.raises(ConfigError) as raised:
        open_data(location, context({"partition-id": 0}))
    message = raised.value.message
    assert "data source 1: the path in `data` in the node's config must be absolute" in message
    assert "working directories" in message
    assert location.partition("{")[0] not in message.replace("`data`", "").replace(
        "data source", ""
    )
    assert location.partition("{")[0] in raised.value.detail


@pytest.mark.parametrize(
    "location", ["s3a://bucket/x", "https://host/x", "file://server/share", "ftp://x/y"]
)
def test_an_unknown_location_shows_the_known_ones(context, location):
    with pytest.raises(ConfigError) as raised:
        open_data(f"/srv;{location}", context())
    message = raised.value.message
    assert "data source 2: `data` in the node's config takes a folder's path, file:" in message
    assert "package.module:function" in message
    assert location not in message
    assert raised.value.detail == location


@pytest.mark.parametrize("locations", ["", " ", ";", " ; "])
def test_no_location_at_all_is_refused(context, locations):
    with pytest.raises(ConfigError, match="`data` in the node's config names no location"):
        open_data(locations, context())


def test_opening_reads_nothing(tmp_path, context):
    open_data(f"{tmp_path / 'missing'};no_such_package:f", context())


def test_a_folder_source_says_what_it_is(tmp_path):
    assert FolderSource(tmp_path, "data source 1").type == "folder"


# ---- splits of a local test -----------------------------------------------------------------


@pytest.mark.parametrize("split", [None, 3, [1, 2], {"a": b"1"}, "text", [{"a": b"1"}, 3]])
@pytest.mark.parametrize("query", [None, [], "a", ["zzz"]])
def test_a_split_reaches_the_analyzer_as_it_is(split, query):
    data = SplitData(split)
    data.check()
    assert data.load("s3", query) is split
    assert data.load("fhir", query) is split


def test_a_query_selects_from_splits_of_files():
    data = SplitData([{"a": b"1", "b": b"2"}, {"a": b"3"}])
    assert data.load("s3", None) == [{"a": b"1", "b": b"2"}, {"a": b"3"}]
    assert data.load("s3", ["a"]) == [{"a": b"1"}, {"a": b"3"}]
    with pytest.raises(DataError, match="source 2 has no 'b', which the query names"):
        data.load("s3", ["b"])


def test_a_split_is_one_source():
    assert SplitData([1]).describe() == [{"id": "split", "name": "split", "type": "local"}]
