"""STAR.md "Final results": which files a result becomes, and what is refused when."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from flame_flwr.errors import ModelError, ResultError
from flame_flwr.results import Outputs


def one(output_type, result, filename=None):
    """Render a single result."""
    return Outputs.declare(output_type, filename, False).render(result)


def many(output_type, result, filename=None):
    """Render several results."""
    return Outputs.declare(output_type, filename, True).render(result)


@pytest.mark.parametrize(
    "result",
    [3, 0.1 + 0.2, float("nan"), None, "Größe: 5 µg/l ✓", {"a": [1, 2]}, np.arange(3), b"raw"],
)
def test_str_is_text_in_utf8(result):
    assert one("str", result) == [("result", str(result).encode("utf-8"))]


def test_an_odd_path_is_its_writers_matter():
    path = "a/" * 3000 + "x"
    assert Outputs.declare("str", path, False, paths=True).names == f"{path}.txt"


@pytest.mark.parametrize("result", [b"\x00\xff", bytearray(b"\x00\xff"), memoryview(b"\x00\xff")])
def test_bytes_are_written_as_they_are(result):
    assert one("bytes", result) == [("result", b"\x00\xff")]


@pytest.mark.parametrize(
    "array",
    [
        np.array([1.5, -0.0]),
        np.arange(6, dtype=">i2").reshape(2, 3),
        np.arange(12).reshape(3, 4)[::2, ::-1],
        np.array(7, dtype="u1"),
        np.zeros((0, 3)),
    ],
    ids=["float", "big endian", "strided", "0-d", "empty"],
)
def test_bytes_of_an_array_are_its_raw_buffer(array):
    [(_, content)] = one("bytes", array)
    assert content == array.tobytes()
    assert np.array_equal(np.frombuffer(content, array.dtype), array.ravel())


def test_bytes_of_an_object_array_are_refused():
    with pytest.raises(ResultError, match="output_type"):
        one("bytes", np.array([{"a": 1}, None], dtype=object))


@pytest.mark.parametrize("result", ["text", np.str_("text"), 1.5, [b"a"], None])
def test_bytes_of_anything_else_are_refused(result):
    with pytest.raises(ResultError) as raised:
        one("bytes", result, "scores.bin")
    text = str(raised.value)
    assert "output_type 'bytes'" in text
    assert type(result).__name__ in text
    assert "scores.bin" in text
    assert "'str' or 'pickle'" in text


def test_pickle_is_what_pickle_loads():
    result = {"w": np.arange(4.0), "t": (1, "a")}
    [(name, content)] = one("pickle", result, "model.pkl")
    loaded = pickle.loads(content)
    assert name == "model.pkl"
    assert loaded["w"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert loaded["t"] == (1, "a")


def test_each_result_has_its_name_and_type():
    files = many(["str", "bytes", "pickle"], ("a", b"b", {"c": 1}), ["a.txt", "b.bin", "c.pkl"])
    assert files[:2] == [("a.txt", b"a"), ("b.bin", b"b")]
    assert files[2][0] == "c.pkl"
    assert pickle.loads(files[2][1]) == {"c": 1}


@pytest.mark.parametrize(
    ("filename", "names"),
    [
        ("out.csv", ["out_1.csv", "out_2.csv"]),
        ("out", ["out_1.txt", "out_2.txt"]),
        ("a.tar.gz", ["a_1.tar.gz", "a_2.tar.gz"]),
        (".hidden", [".hidden_1", ".hidden_2"]),
        (None, ["result_1", "result_2"]),
        (Path("p.txt"), ["p_1.txt", "p_2.txt"]),
        ("out/a.txt", ["out/a_1.txt", "out/a_2.txt"]),
    ],
)
def test_a_single_name_is_numbered_from_one(filename, names):
    outputs = Outputs.declare("str", filename, True, paths=True)
    assert [name for name, _ in outputs.render(["x", "y"])] == names


@pytest.mark.parametrize("result", [{"a": 1}, "ab", b"ab", np.arange(2), {1, 2}, None, 3])
def test_many_results_must_be_a_sequence(result):
    with pytest.raises(ResultError) as raised:
        many("str", result)
    text = str(raised.value)
    assert "multiple_results=True" in text
    assert "list or tuple" in text
    assert type(result).__name__ in text


@pytest.mark.parametrize(
    ("types", "names", "lengths"),
    [
        (["str", "str"], ["a", "b"], (3, 2, 2)),
        ("str", ["a", "b"], (3, 3, 2)),
        (["str"] * 4, "out.txt", (3, 4, 3)),
    ],
)
def test_a_result_of_another_length_is_an_error(types, names, lengths):
    with pytest.raises(ResultError) as raised:
        many(types, [1, 2, 3], names)
    text = str(raised.value)
    assert f"{lengths[0]} elements" in text
    assert f"output_type {lengths[1]}" in text
    assert f"filename {lengths[2]}" in text


@pytest.mark.parametrize("output_type", ["text", "", "STR", ["str", "json"], ["str", 3], None, 5])
def test_an_unknown_output_type_is_refused(output_type):
    with pytest.raises(ModelError) as raised:
        Outputs.declare(output_type, None, True)
    text = str(raised.value)
    assert "output_type must be one of str, bytes, pickle" in text
    wrong = output_type[1] if isinstance(output_type, list) else output_type
    assert repr(wrong) in text


@pytest.mark.parametrize("filename", [5, 1.5, ["a", None], [b"a", b"b"], b"ab"])
def test_a_filename_that_is_no_name_is_refused(filename):
    with pytest.raises(ModelError, match="filename"):
        Outputs.declare("str", filename, True)


@pytest.mark.parametrize(
    ("types", "names", "what"),
    [
        (["str"], None, "output_type: a list"),
        ("str", ["a"], "filename: a list"),
        (["str", "str"], ["a", "b"], "output_type and filename: a list"),
    ],
)
def test_a_list_without_multiple_results_is_refused(types, names, what):
    with pytest.raises(ModelError) as raised:
        Outputs.declare(types, names, False)
    assert what in str(raised.value)
    assert "multiple_results=True" in str(raised.value)


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ModelError) as raised:
        Outputs.declare(["str", "str", "str"], ["a", "b"], True)
    assert "output_type has 3 entries and filename has 2" in str(raised.value)


@pytest.mark.parametrize(("types", "names"), [([], None), ("str", []), ([], [])])
def test_empty_lists_are_refused(types, names):
    with pytest.raises(ModelError, match="must not be empty"):
        Outputs.declare(types, names, True)


ESCAPES = [
    "a/b.txt",
    "/etc/passwd",
    "..",
    "../a.txt",
    "a\\b.txt",
    "..\\a.txt",
    "C:\\a.txt",
    "C:a.txt",
    "\\\\host\\share\\a.txt",
    "a/../../b",
    "a/",
    "/",
    Path("a/b"),
]
NO_NAMES = ["", " ", "\t", ".", "a\0b", "\0", "x" * 256]


@pytest.mark.parametrize("filename", [*ESCAPES, *NO_NAMES], ids=repr)
@pytest.mark.parametrize("listed", [False, True])
def test_a_name_leaving_the_folder_is_refused(filename, listed):
    names = ["fine.txt", filename] if listed else filename
    with pytest.raises(ModelError) as raised:
        Outputs.declare("str", names, listed)
    assert "filename" in str(raised.value)
    assert repr(str(filename)) in str(raised.value)


@pytest.mark.parametrize("name", ["run.json", "history.csv", "rescue.pkl", "rescue.txt", "scratch"])
def test_names_of_run_files_are_refused(name):
    with pytest.raises(ModelError) as raised:
        Outputs.declare("str", name, False)
    assert repr(name) in str(raised.value)
    assert "choose another" in str(raised.value)
    written = name if "." in name else f"{name}.txt"
    assert Outputs.declare("str", name, False, paths=True).names == written


@pytest.mark.parametrize("again", ["a.txt", "./a.txt", "a"])
def test_a_file_named_twice_is_refused(again):
    with pytest.raises(ModelError, match=r"filename has 'a\.txt' twice"):
        Outputs.declare("str", ["a.txt", "b.txt", again], True, paths=True)


@pytest.mark.parametrize("name", ["...", "a b.txt", "ä.txt", "-r.f", "a'b.c", "x" * 200 + ".x"])
def test_odd_but_harmless_names_are_fine(name):
    assert Outputs.declare("str", name, False).render(1) == [(name, b"1")]


@pytest.mark.parametrize(
    ("types", "name", "files"),
    [
        ("str", "a", ["a.txt"]),
        ("bytes", "-rf", ["-rf.bin"]),
        ("pickle", "résumé", ["résumé.pkl"]),
        ("str", "a.b", ["a.b"]),
        ("pickle", ".hidden", [".hidden"]),
        ("str", None, ["result"]),
        ("pickle", ["a", "b.x"], ["a.pkl", "b.x"]),
        (["str", "bytes"], ["a", "b"], ["a.txt", "b.bin"]),
        (["str", "bytes"], "a", ["a_1.txt", "a_2.bin"]),
        (["str", "bytes"], "a.x", ["a_1.x", "a_2.x"]),
        (["str", "bytes"], None, ["result_1", "result_2"]),
    ],
)
def test_a_bare_name_gets_its_types_extension(types, name, files):
    many = len(files) > 1
    outputs = Outputs.declare(types, name, many)
    assert [file for file, _ in outputs.render([b"1"] * 2 if many else b"1")] == files


@pytest.mark.parametrize(("name", "written"), [("rescue", "rescue.txt"), ("x" * 238, "x" * 238)])
def test_a_name_is_checked_with_its_extension(name, written):
    with pytest.raises(ModelError, match=re.escape(written)):
        Outputs.declare("str", name, False)


@pytest.mark.parametrize(
    ("filename", "folder"),
    [("out/a.txt", "out"), (["out/x/a.txt", "b.txt"], "out/x"), ("a.txt", "."), (None, ".")],
)
def test_a_local_test_may_name_paths(filename, folder):
    outputs = Outputs.declare("str", filename, True, paths=True)
    assert outputs.folder() == Path(folder)
