"""A file, a search or a data source that is not there: what is there is said, at the node only."""

import io
import traceback

import pandas as pd
import pytest

from flame_flwr.data import FolderSource
from flame_flwr.errors import DataError
from flame_flwr.failure.failure import Failure
from flame_flwr.failure.notes import Hint
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
from flame_flwr.testing.observer import Observer
from flame_flwr.testing.trace import Trouble

FILES = [{"nhefs.csv": b"age\n1\n", "notes.txt": b""}, {"labs.csv": b"a\n2\n"}]
BUNDLE = {"resourceType": "Bundle", "entry": []}
BUNDLES = [{"Patient?_count=10": BUNDLE, "Observation?code=1": BUNDLE}]


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return 1

    def has_converged(self, result, last_result):
        return True


def failed(method, data=FILES, data_type="s3", name="analysis_method"):
    """Run an analysis whose node fails, and return the error."""

    class Analyzer(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return 1

    setattr(Analyzer, name, method)
    with pytest.raises((KeyError, IndexError, TypeError)) as caught:
        StarModelTester([data], Analyzer, Aggregator, data_type, quiet=True)
    return caught.value


def load(files):
    return pd.read_csv(io.BytesIO(files["nhef.csv"]))


def merged(self, data, last):
    every = {**data[0], **data[1]}
    return every["nhef.csv"]


def kept(self, data, last):
    self.files = data[0]
    return self.files["nhef.csv"]


def over_lines(self, data, last):
    return pd.read_csv(
        io.BytesIO(
            data[0]["nhef.csv"],
        )
    )


ASKED = {
    "at once": lambda self, data, last: data[0]["nhef.csv"],
    "the other source": lambda self, data, last: data[1]["nhef.csv"],
    "pop": lambda self, data, last: data[0].pop("nhef.csv"),
    "in a loop": lambda self, data, last: [files["nhef.csv"] for files in data],
    "in a function": lambda self, data, last: load(data[0]),
    "of all sources": merged,
    "kept": kept,
    "over lines": over_lines,
}


@pytest.mark.parametrize("method", ASKED.values(), ids=ASKED)
def test_a_missing_key_is_answered_with_all(method):
    error = failed(method)
    assert error.__notes__[0] == (
        "the data has no file of that name: what is there is listed in the node's own log"
    )
    assert error.__notes__[1] == (
        "'nhef.csv' is not there: did you mean 'nhefs.csv'? data[0] has 'nhefs.csv', 'notes.txt'; "
        "data[1] has 'labs.csv'"
    )
    assert "nhefs.csv" in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("method", ASKED.values(), ids=ASKED)
def test_the_names_do_not_leave_the_node(method):
    told = Failure.of(failed(method), share=False).to_json()
    assert b"no file of that name" in told
    for name in (b"nhef", b"notes", b"labs"):
        assert name not in told
    assert b"nhefs.csv" in Failure.of(failed(method), share=True).to_json()


def test_check_names_what_there_is():
    hint = Trouble.of(failed(ASKED["at once"]), Observer(print, iterative=False)).hint
    assert hint == (
        "the data has no file of that name; 'nhef.csv' is not there: did you mean 'nhefs.csv'? "
        "data[0] has 'nhefs.csv', 'notes.txt'; data[1] has 'labs.csv'"
    )


def raised(self, data, last):
    raise KeyError("nhef.csv")


CODES = {"f": 0}
OTHERS = {
    "another dict": lambda self, data, last: CODES["m"] + len(data),
    "a key made of the data": lambda self, data, last: CODES[next(iter(data[0]))],
    "pop": lambda self, data, last: dict(CODES).pop(str(data)),
    "a column": lambda self, data, last: pd.read_csv(io.BytesIO(data[0]["nhefs.csv"]))["height"],
    "another list": lambda self, data, last: [1][3],
    "raised": raised,
    "over lines": lambda self, data, last: [
        len(data),
        CODES[
            "labs.csv"
        ],
    ],
}  # fmt: skip


@pytest.mark.parametrize("method", OTHERS.values(), ids=OTHERS)
def test_a_key_of_another_dict_gets_no_hint(method):
    assert failed(method).__notes__ == ["in node-0, round 1"]


def test_an_errors_place_is_no_hint_of_check():
    error = failed(lambda self, data, last: {}["x"])
    assert error.__notes__ == ["in node-0, round 1"]
    assert Trouble.of(error, Observer(print, iterative=False)).hint == ""


def test_a_query_that_is_not_there():
    error = failed(lambda self, data, last: data[0]["Patient"], BUNDLES, "fhir")
    assert error.__notes__[0].startswith("the data has no FHIR query of that name")
    assert error.__notes__[1] == (
        "'Patient' is not there: data[0] has 'Patient?_count=10', 'Observation?code=1'"
    )
    assert b"Patient?" not in Failure.of(error, share=False).to_json()


def test_a_data_source_that_is_not_there():
    error = failed(lambda self, data, last: data[2]["nhefs.csv"])
    assert error.__notes__[:2] == [
        "the data has no data source of that number: what is there is listed in the node's own log",
        "data[0] has 'nhefs.csv', 'notes.txt'; data[1] has 'labs.csv'",
    ]
    assert [isinstance(note, Hint) for note in error.__notes__[:2]] == [True, False]


def test_a_list_taken_for_a_dict_is_named():
    error = failed(lambda self, data, last: data["nhefs.csv"])
    assert error.__notes__[0].startswith("data is a list with one dict per data source: begin with")
    assert "nhefs" not in error.__notes__[0]


def test_an_evaluation_is_answered_too():
    error = failed(lambda self, data, result: data[0]["nhef.csv"], name="evaluation_method")
    assert "did you mean 'nhefs.csv'?" in error.__notes__[1]


def test_a_long_list_is_cut():
    files = {f"{i}.csv": b"" for i in range(100)}
    error = failed(lambda self, data, last: data[0]["x"], [files, {}])
    assert error.__notes__[1].endswith("'19.csv' and 80 more; data[1] has nothing")


def test_a_query_for_a_missing_file_lists_all(tmp_path):
    (tmp_path / "nhefs.csv").write_bytes(b"")
    (tmp_path / "Patient.json").write_text("{}")
    source = FolderSource(tmp_path, "data source 1")
    with pytest.raises(DataError) as raised:
        source.read("s3", ["nhef.csv"])
    assert raised.value.message == "data source 1 has no 'nhef.csv', which the query names"
    assert raised.value.detail == ("did you mean 'nhefs.csv'? There: 'Patient.json', 'nhefs.csv'")
    with pytest.raises(DataError) as raised:
        source.read("fhir", ["Patients"])
    assert "nhefs" not in raised.value.message
    assert raised.value.detail.startswith("did you mean 'Patient.json'? There: 'Patient.json'")
