"""A folder as a node's data: its files, what a query selects, what is refused."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from flame_flwr.data import open_data, read_folder
from flame_flwr.errors import DataError

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


@pytest.fixture
def data(context):
    return lambda location: open_data(str(location), context())


def refused(data, *call):
    """Return the error of a call, whose message names the source."""
    with pytest.raises(DataError) as raised:
        getattr(data, call[0])(*call[1:])
    assert "data source 1" in raised.value.message
    return raised.value


@contextmanager
def without_privileges():
    """Be nobody within the block: root may read everything."""
    nobody = 0 if os.geteuid() else 65534
    if nobody:
        os.seteuid(nobody)
    try:
        yield
    finally:
        if nobody:
            os.seteuid(0)


# ---- what is read ---------------------------------------------------------------------------


def test_a_folder_gives_files_by_relative_path(folder, data):
    [files] = data(folder).load("s3", None)
    assert list(files) == ["a.csv", "b.csv", "visits/10/y.csv", "visits/2/x.csv"]
    assert files == FILES
    assert data(folder).load("s3", []) == [FILES]


def test_read_folder_gives_what_an_analyzer_gets(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert read_folder(folder.name) == read_folder(folder) == [FILES]
    with pytest.raises(DataError, match=r"does not exist.*check `folder`"):
        read_folder("nowhere")


def test_what_is_not_read_is_logged_once(folder, tmp_path, data, caplog):
    fill(tmp_path / "elsewhere", {"c.csv": b"c"})
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "dangling.csv").symlink_to(tmp_path / "nothing")
    (folder / "visits" / "file.csv").symlink_to(tmp_path / "elsewhere" / "c.csv")
    source = data(folder)
    source.check()
    assert source.load("s3", None) == [FILES | {"visits/file.csv": b"c"}]
    [record] = caplog.records
    assert record.getMessage() == (
        "data source 1: not read, for they are links to folders, links to nothing, or no files: "
        f"{str(folder / 'dangling.csv')!r}, {str(folder / 'linked')!r}"
    )
    for number in range(30):
        (folder / f"more-{number}").symlink_to("nowhere")
    source.check()
    assert "and 20 more" in caplog.text


ODD = ["sp ace", "ünïcode", "a&b<c>", "quo'te\"", "100%25", "-rf", ".hidden", "new\nline"]


@pytest.mark.parametrize("name", [*ODD, os.fsdecode(b"caf\xe9.csv")])  # the last is no UTF-8
def test_odd_names_are_keys_like_any_other(tmp_path, data, name):
    fill(tmp_path / "d", {name: b"1", "z/" + name: b""})
    (tmp_path / "d" / "empty").mkdir()  # is no file
    source = data(tmp_path / "d")
    assert source.load("s3", None) == [{name: b"1", "z/" + name: b""}]
    assert source.load("s3", ["z/" + name]) == [{"z/" + name: b""}]


@pytest.mark.parametrize(
    "query", [["b.csv"], ["visits/2/x.csv", "a.csv"], "a.csv", ("a.csv", "b.csv")]
)
def test_a_query_means_its_keys_in_order(folder, data, query):
    [files] = data(folder).load("s3", query)
    keys = [query] if isinstance(query, str) else list(query)
    assert list(files.items()) == [(key, FILES[key]) for key in keys]


def test_only_what_the_query_names_is_read(tmp_path, data):
    fill(tmp_path / "d", {"a": b"1"})
    (tmp_path / "d" / "unreadable").symlink_to("/proc/self/mem")
    data(tmp_path / "d").check()  # opens, and reads nothing
    assert data(tmp_path / "d").load("s3", ["a"]) == [{"a": b"1"}]


# ---- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["check", "load"])
def test_a_missing_key_names_key_and_source(folder, data, call):
    error = refused(data(f"{folder};{folder}"), call, "s3", ["a.csv", "labels.csv", "c.csv"])
    assert error.message == "data source 1 has no 'labels.csv', 'c.csv', which the query names"
    assert str(folder) not in str(error)
    data(folder).check("s3", ["a.csv", "visits/2/x.csv"])


@pytest.mark.parametrize("escape", ["../secret.csv", "/etc/hostname", "visits/../a.csv", "./a.csv"])
def test_a_query_cannot_leave_the_folder(folder, data, escape):
    (folder.parent / "secret.csv").write_bytes(b"secret")
    with pytest.raises(DataError, match="which the query names"):
        data(folder).load("s3", [escape])


@pytest.mark.parametrize("call", [("check",), ("load", "s3", None)])
@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("none", "the data folder does not exist, or this node may not look into it; check `data`"),
        ("empty", "the data folder is empty; check `data` in the node's config"),
        ("file", "the data location is a file; name the folder that it is in"),
        ("x" * 300, "the data folder does not exist"),
    ],
)
def test_a_wrong_folder_keeps_its_path_here(tmp_path, data, place, said, call):
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    (tmp_path / "file").touch()
    error = refused(data(tmp_path / place), *call)
    assert f"data source 1: {said}" in error.message
    assert str(tmp_path) not in error.message
    assert str(tmp_path) in error.detail


def test_an_unreadable_file_keeps_its_name_here(tmp_path, data):
    fill(tmp_path / "d", {"a": b"1"})
    (tmp_path / "d" / "Maria Muster.csv").symlink_to("/proc/self/mem")
    error = refused(data(tmp_path / "d"), "load", "s3", None)
    assert error.message == "Input/output error: data source 1: a file cannot be read (OSError)"
    assert error.detail


@pytest.fixture
def barred():
    """A folder of files with a folder in it that nobody but root may list."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    fill(root / "d", {"a.csv": b"1", "closed/b.csv": b"2"})
    (root / "d" / "closed").chmod(0)
    yield root / "d"
    (root / "d" / "closed").chmod(0o755)
    shutil.rmtree(root)


@pytest.mark.parametrize(("place", "call"), [(".", "load"), ("closed/deeper", "check")])
def test_a_closed_folder_means_no_fewer_files(barred, data, place, call):
    source = data(barred / place)
    with without_privileges():
        error = refused(source, call, "s3", None)
    assert str(barred) not in error.message


@pytest.mark.parametrize(
    ("kind", "query"), [("s3", None), ("s3", "b.csv"), ("fhir", "Patient"), ("fhir", None)]
)
def test_check_finds_files_closed_to_the_node(barred, data, kind, query):
    fill(barred, {"b.csv": b"b", "Patient.json": b'{"resourceType": "Bundle"}'})
    (barred / "closed").chmod(0o755)
    source = data(barred)
    with without_privileges():
        source.check(kind, query)
    for name in ("b.csv", "Patient.json"):
        (barred / name).chmod(0)
    with without_privileges():
        error = refused(source, "check", kind, query)
    assert str(barred) not in error.message
