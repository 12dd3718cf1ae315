"""Files as the demo of the slides has them: other names, no headers, labels first or apart."""

import numpy as np
import pytest

import run as script
from cross_site.app import CrossSiteClient, model
from cross_site.hospitals import MEASUREMENTS
from cross_site.naming import as_named, check_files
from cross_site.table import expected, read_both
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.results.run_record import RunRecord

TABLES = "site-*.csv, site-*_test.csv"
PAIRS = "Xtrain.csv + ytrain.csv, Xtest.csv + ytest.csv"


def cells(content):
    names, *lines = [line.split(",") for line in content.decode().splitlines()]
    return names.index("label"), lines


def as_tables(files, number):
    """The files of the demo: `site-1.csv`, its label in the first column, and no header."""
    found = {f"site-{number}_header.csv": b"label,FAP,SLC5A6\n"}
    for name, end in (("train.csv", ""), ("test.csv", "_test")):
        at, lines = cells(files[name])
        text = "\n".join(",".join([y[at], *y[:at], *y[at + 1 :]]) for y in lines)
        found[f"site-{number}{end}.csv"] = f"{text}\n".encode()
    return found


def as_pairs(files, number):
    found = {}
    for name, end in (("train.csv", "train"), ("test.csv", "test")):
        at, lines = cells(files[name])
        rows = [",".join([*line[:at], *line[at + 1 :]]) for line in lines]
        found[f"X{end}.csv"] = "\n".join(rows).encode()
        found[f"y{end}.csv"] = "\r\n".join(line[at] for line in lines).encode()
    return found


@pytest.mark.parametrize(("made", "files"), [(as_tables, TABLES), (as_pairs, PAIRS)])
def test_every_number_is_the_same(contents, made, files):
    for number, content in enumerate(contents, start=1):
        read = read_both(as_named([made(content, number)], files))
        for one, other in zip(read, read_both([content], MEASUREMENTS), strict=True):
            np.testing.assert_array_equal(one.x, other.x)
            np.testing.assert_array_equal(one.y, other.y)
            assert one.columns == tuple(f"x{k}" for k in range(1, 31))
        [tables] = expected(None, files)
        assert list(tables.look([made(content, number)])) == []


def over_messages(splits, **config):
    """Run the app's model as Flower does, which reads the run config at every node."""
    record = RunRecord()
    strategy = model.declaration.strategy()

    class Configured(CrossSiteClient):
        def __init__(self, plan, context):
            context.run_config = {**context.run_config, **config}
            super().__init__(plan, context)

    with LocalGrid(model.plan, splits, Configured) as grid:
        strategy.start(
            grid,
            settings=RunSettings.from_config({}),
            record=record,
            simple_analysis=False,
            num_rounds=3,
        )
    return record.result


def test_the_app_takes_it_from_the_run_config(contents):
    named = over_messages([[each] for each in contents])
    for made, files in ((as_tables, TABLES), (as_pairs, PAIRS)):
        splits = [[made(each, k)] for k, each in enumerate(contents, start=1)]
        found = over_messages(splits, **{"study.files": files})
        assert found[1] == named[1]  # rounds.csv: every score of every round
        assert found[3] == named[3]


def test_run_takes_the_demos_folders(contents, tmp_path):
    for number, content in enumerate(contents, start=1):
        folder = tmp_path / f"site-{number}"
        folder.mkdir()
        for name, text in as_tables(content, number).items():
            (folder / name).write_bytes(text)
    found = script.folder_files(list(tmp_path.iterdir()), TABLES)
    assert len(found) == 4
    assert script.measurements(found) == [f"x{k}" for k in range(1, 31)]
    assert all(list(files) == ["train.csv", "test.csv"] for files in found.values())
    with pytest.raises(DataError, match=r"site-1: No file at this node is called a\.csv"):
        script.folder_files([tmp_path / "site-1"], "a.csv, b.csv")


@pytest.mark.parametrize("files", ["train.csv", "a, b, c", "a + b + c, d", "a + , b", ","])
def test_a_text_that_says_something_else_is_refused(files):
    with pytest.raises(ConfigError, match="files must name what to train and what to test with"):
        check_files(files)


def test_files_that_do_not_fit_are_named():
    for data, says in (
        ([{"site-1.csv": b"1,2\n"}], "No file at this node is called site-.*_test.csv"),
        ([{"site-1.csv": b"1,2\n", "site-2.csv": b"1,2\n", "site-1_test.csv": b"1\n"}], "More"),
        ([{"site-1.csv": b"", "site-1_test.csv": b"1,2\n"}], "site-.*csv is empty"),
        ([{"site-1.csv": b"\xff\xfe", "site-1_test.csv": b"1,2\n"}], "no text in UTF-8"),
    ):
        with pytest.raises(DataError, match=says):
            as_named(data, TABLES)
    pairs = {"Xtrain.csv": b"1,2\n3,4\n", "ytrain.csv": b"1\n", "Xtest.csv": b"", "ytest.csv": b""}
    with pytest.raises(DataError, match="one label per row"):
        as_named([pairs], PAIRS)
    [tables] = expected(None, PAIRS)
    assert [each.text for each in tables.look([pairs])] == [
        "A file of labels must have one label per row of the measurements."
    ]


def test_words_for_each_row_are_labels():
    x = b"1,2\n3,4\n"
    test = {"Xtest.csv": x, "ytest.csv": b"ill\n0\n1\n"}
    [found] = as_named([{"Xtrain.csv": x, "ytrain.csv": b"ill\nwell\n", **test}], PAIRS)
    assert found["train.csv"] == b"label,x1,x2\nill,1,2\nwell,3,4\n"
    assert found["test.csv"] == b"label,x1,x2\n0,1,2\n1,3,4\n"


@pytest.mark.parametrize(
    ("made", "files", "train", "test"),
    [
        (as_tables, TABLES, "site-*.csv", "site-*_test.csv"),
        (as_pairs, PAIRS, "Xtrain.csv + ytrain.csv", "Xtest.csv + ytest.csv"),
    ],
)
def test_messages_say_what_the_files_are_called_here(contents, made, files, train, test):
    few = {name: b"\n".join(text.splitlines()[:6]) for name, text in contents[0].items()}
    [tables] = expected(None, files)
    said = [f"{name} has fewer than 10 rows: add patients" for name in (train, test)]
    found = [each.text for each in tables.look([made(few, 1)])]
    assert [text.partition(", or")[0] for text in found] == said
    assert tables.called == f"{train} or {test}"
    with pytest.raises(DataError) as caught:
        read_both([made(few, 1)], files=files)
    assert caught.value.message.startswith(said[0])
    narrow = {**contents[0], "test.csv": b"label,a\n1,2\n0,3\n" * 10}
    odd = [each.text for each in tables.look([made(narrow, 1)])]
    assert odd == [f"{train} and {test} have different measurements: give both the same columns."]


def test_run_says_what_the_files_are_called_there(contents, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "site-1"
    folder.mkdir()
    few = {name: b"\n".join(text.splitlines()[:6]) for name, text in contents[0].items()}
    for name, text in as_tables(few, 1).items():
        (folder / name).write_bytes(text)
    monkeypatch.setattr("sys.argv", ["run.py", "--files", TABLES, "--data", str(folder)])
    assert script.main() == 1
    said = capsys.readouterr().err
    assert "site-*.csv has fewer than 10 rows" in said
    assert "train.csv" not in said
    (folder / "site-1.csv").write_bytes(b"one,two\n1,2\n")
    assert script.main() == 1
    assert f"{folder}/site-*.csv: its first line" in capsys.readouterr().err
