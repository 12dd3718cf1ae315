"""Row-level data: in whatever form it leaves, it is found; what is as long by chance is not."""

import io
import json
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from flame_flwr.statistics import Moments, Quantiles, ValueCounts, describe
from flame_flwr.testing.axes import row_counts
from flame_flwr.testing.observer import At
from flame_flwr.testing.row_level_data import RowsAndAxes


def table(rows):
    ages = [20 + (7 * i) % 60 + i / 1000 for i in range(rows)]
    return pd.DataFrame({"age": ages, "dose": np.arange(rows) / 2, "ill": np.arange(rows) % 2})


def files(rows):
    return [{"patients.csv": table(rows).to_csv(index=False).encode()}]


def found(value_of, sizes=(300, 200, 250), data_of=files):
    """What is found of nodes with so many rows, of which each returns `value_of` its table."""
    rows = RowsAndAxes()
    for number, size in enumerate(sizes):
        node = f"node-{number}"
        rows.note_data(node, data_of(size))
        rows.note_value(At("Analyzer", "analysis_method", node, 1), value_of(table(size)))
    return [each.text for each in rows.found()]


def npy(frame):
    buffer = io.BytesIO()
    np.save(buffer, frame.to_numpy())
    return buffer.getvalue()


ROW_LEVEL = {
    "table": lambda t: t,
    "table, transposed": lambda t: t.T,
    "column": lambda t: t["age"],
    "index": lambda t: t.index,
    "array": lambda t: t.to_numpy(),
    "array, transposed": lambda t: t.to_numpy().T,
    "one column": lambda t: t["age"].to_numpy(),
    "three axes": lambda t: np.zeros((1, len(t), 4)),
    "sparse": lambda t: csr_array(t.to_numpy()),
    "list": lambda t: t["age"].tolist(),
    "list of lists": lambda t: t.to_numpy().tolist(),
    "columns as lists": lambda t: [t[name].tolist() for name in t],
    "records": lambda t: t.to_dict("records"),
    "tuple of tuples": lambda t: tuple(t.itertuples(index=False, name=None)),
    "set": lambda t: set(t["dose"]),
    "a key per patient": lambda t: {f"patient {i}": 0.5 for i in range(len(t))},
    "columns by name": lambda t: t.to_dict("list"),
    "nested": lambda t: {"n": len(t), "more": [1, ({"rows": t["age"].tolist()},)]},
    "predictions beside a model": lambda t: {"coef": np.zeros(3), "scores": np.zeros(len(t))},
    "in all directions": lambda t: np.zeros((len(t), len(t))),
    "text": lambda t: t.to_csv(index=False),
    "text without names": lambda t: t.to_csv(index=False, header=False),
    "bytes": lambda t: t.to_csv(index=False).encode(),
    "JSON": lambda t: t.to_json(orient="records"),
    "JSON as bytes": lambda t: json.dumps({"rows": t["age"].tolist()}).encode(),
    "npy": npy,
    "pickle": pickle.dumps,
    "raw bytes": lambda t: t["age"].to_numpy().tobytes(),
    "flattened": lambda t: t.to_numpy().ravel(),
    "an estimator that keeps rows": lambda t: KNeighborsClassifier().fit(t[["age"]], t["ill"]),
}


FLAT = ("raw bytes", "flattened")


@pytest.mark.parametrize("name", ROW_LEVEL)
def test_rows_are_found_in_any_form(name):
    (text, *_) = found(ROW_LEVEL[name])
    assert text.startswith("row-level data: ")
    if name not in FLAT:
        assert text.startswith("row-level data: 300 rows, as many as the input (node-0, round 1; ")


@pytest.mark.parametrize("name", [name for name in ROW_LEVEL if name not in FLAT])
def test_equally_long_nodes_hide_no_rows(name):
    (text, *_) = found(ROW_LEVEL[name], sizes=(40, 40, 40))
    assert text.startswith("row-level data: 40 rows, as many as the input (node-0, round 1; ")


def test_what_there_is_of_each_row_is_said():
    (text,) = found(ROW_LEVEL["flattened"])
    assert text.startswith(
        "row-level data: 900 entries, 3 for each of the input's 300 rows (node-0"
    )


HARMLESS = {
    "counts": lambda t: {"n": len(t), "sums": t.sum().tolist()},
    "moments": lambda t: Moments.from_data(t["age"]),
    "quantiles": lambda t: Quantiles.from_data(t["age"], accuracy=0.001),
    "labels": lambda t: ValueCounts.from_data(t["dose"].astype(str)),
    "description": describe,
    "coefficients": lambda t: {"coef": np.zeros((1, 30)), "intercept": 0.5},
    "covariance": lambda t: np.cov(t.to_numpy().T),
    "bins": lambda t: np.histogram(t["age"], bins=20)[0],
    "a fitted model": lambda t: LogisticRegression().fit(t[["age", "dose"]], t["ill"]),
    "text": lambda t: f"mean age {t['age'].mean():.1f}",
    "a picture": lambda t: b"\x89PNG\r\n\x1a\n" + bytes(1000),
    "nothing": lambda t: None,
}


@pytest.mark.parametrize("sizes", [(300, 200, 250), (40, 40, 40)])
@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_not_of_rows_passes(name, sizes):
    assert found(HARMLESS[name], sizes) == []


@pytest.mark.parametrize(
    ("sizes", "value_of"),
    [
        ((2, 2), lambda t: [0.5, 0.5]),  # a number per class
        ((9, 9), lambda t: np.zeros(9)),  # a coefficient per feature
        ((3, 2), lambda t: t["age"].tolist()),  # too few to tell from chance
        ((30, 300), lambda t: np.zeros(30)),  # of one node only
        ((30, 300, 31), lambda t: np.zeros(len(t) if len(t) < 100 else 30)),
        ((10, 20), lambda t: np.zeros(40)),  # four times, and twice
        ((12, 20), lambda t: [np.zeros(i) for i in range(len(t) + 100)]),  # one of many fits
    ],
)
def test_what_is_as_long_by_chance_passes(sizes, value_of):
    assert found(value_of, sizes) == []


@pytest.mark.parametrize("sizes", [(5, 4), (10, 10), (300, 3), (12,)])
def test_few_rows_are_enough_where_they_are_followed(sizes):
    assert len(found(lambda t: t["age"].tolist(), sizes)) == 1


@pytest.mark.parametrize("name", ["table", "records", "list of lists", "tuple of tuples"])
def test_a_table_is_told_from_chance_earlier(name):
    assert len(found(ROW_LEVEL[name], (5, 5))) == 1
    assert found(ROW_LEVEL[name], (4, 4)) == []


def bundle(rows):
    entries = [{"resource": {"resourceType": "Patient", "id": str(i)}} for i in range(rows)]
    observed = [{"resource": {"resourceType": "Observation"}}] * 7
    return [{"Patient?_count=100": {"resourceType": "Bundle", "entry": entries + observed}}]


DATA = {
    "CSV": files,
    "CSV without names": lambda n: [{"p": table(n).to_csv(index=False, header=False).encode()}],
    "quoted line breaks": lambda n: [{"p.csv": b"age,note\n" + b'1,"a\n\nb"\n' * n}],
    "TSV": lambda n: [{"p.tsv": table(n).to_csv(index=False, sep="\t").encode()}],
    "JSON": lambda n: [{"p.json": table(n).to_json(orient="records").encode()}],
    "JSON of columns": lambda n: [{"p.json": table(n).to_json(orient="columns").encode()}],
    "JSON lines": lambda n: [{"p.ndjson": table(n).to_json(orient="records", lines=True).encode()}],
    "npy": lambda n: [{"p.npy": npy(table(n))}],
    "FHIR": bundle,
    "FHIR as JSON": lambda n: [{"b.json": json.dumps(bundle(n)[0]["Patient?_count=100"]).encode()}],
    "DataFrame": table,
    "DataFrame in a dict": lambda n: {"patients": table(n), "sites": table(3)},
    "a dict of columns": lambda n: [{"ages": [1.0] * n, "sexes": ["f"] * n}],
    "array": lambda n: np.zeros((n, 3)),
    "a pair of arrays": lambda n: (np.zeros((n, 3)), np.zeros(n)),
    "list": lambda n: [1.0] * n,
    "list of records": lambda n: [{"age": 1.0}] * n,
    "list of lists": lambda n: [[1.0, 2.0]] * n,
    "a patient per key": lambda n: {f"patient {i}": {"age": 1.0} for i in range(n)},
    "a data set": lambda n: type("Data", (), {"__len__": lambda self: n})(),
}


@pytest.mark.parametrize("name", DATA)
def test_rows_are_counted_in_any_data(name):
    assert len(found(lambda t: t["age"].tolist(), data_of=DATA[name])) == 1
    assert found(lambda t: np.zeros((1, 13)), data_of=DATA[name]) == []


def test_the_columns_of_a_table_are_no_rows():
    assert 13 not in row_counts([[1.0] * 13] * 40) | row_counts(np.zeros((40, 13)))
    assert 13 not in row_counts({f"column {i}": [0.5] * 40 for i in range(13)})


def test_odd_data_is_passed_over():
    class Odd:
        def __len__(self):
            raise RuntimeError("not yet")

        @property
        def shape(self):
            raise RuntimeError("not yet")

    assert found(lambda t: [Odd(), t["age"].tolist()], data_of=lambda n: Odd()) == []


def test_rows_of_later_rounds_are_found_too():
    rows = RowsAndAxes()
    for number in (1, 2):
        for node, size in (("node-0", 30), ("node-1", 20)):
            rows.note_data(node, files(size))
            value = {"coef": np.zeros(3)} if number == 1 else {"coef": np.zeros(size)}
            rows.note_value(At("Analyzer", "analysis_method", node, number), value)
    (one,) = rows.found()
    assert one.at.round == 2
    assert one.text.startswith("row-level data: 30 rows, as many as the input (node-0, round 2; ")
