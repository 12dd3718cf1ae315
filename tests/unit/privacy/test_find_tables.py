"""Which parts of a value are tables, with rows that may be people, and which are not."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from flame_flwr.payload import register_type
from flame_flwr.privacy.find_tables import find_tables
from flame_flwr.statistics import Histogram, Moments, ValueCounts, describe

FRAME = pd.DataFrame({"age": range(300), "sex": ["f", "m"] * 150})


class Visit(NamedTuple):
    age: int
    sex: str


@dataclass
class Wrapped:
    table: object


register_type(Wrapped, to=lambda value: {"table": value.table}, restore=lambda plain: plain)


TABLES = {
    "DataFrame": (FRAME, 300, 2),
    "Series": (FRAME["age"], 300, 1),
    "Index": (FRAME.index, 300, 1),
    "MultiIndex": (pd.MultiIndex.from_frame(FRAME), 300, 2),
    "dicts": (FRAME.to_dict("records"), 300, 2),
    "dicts with None": ([*FRAME.to_dict("records"), None], 301, 2),
    "tuples": (list(FRAME.itertuples(index=False, name=None)), 300, 2),
    "named tuples": ([Visit(*row) for row in FRAME.values.tolist()], 300, 2),
    "lists": (FRAME.values.tolist(), 300, 2),
    "tuple of lists": (tuple(FRAME.values.tolist()), 300, 2),
    "set of tuples": (set(FRAME.itertuples(index=False, name=None)), 300, 2),
    "Series in a list": ([row for _, row in FRAME.iterrows()], 300, 2),
    "columns": (FRAME.to_dict("list"), 300, 2),
    "array with names": (FRAME.to_records(index=False), 300, 2),
    "FHIR resources": ([{"resourceType": "Patient", "name": [{"family": "x"}]}] * 300, 300, 2),
    "registered type": (Wrapped(FRAME), 300, 2),
}

OTHERS = {
    "array": np.zeros((300, 13)),
    "array of texts": np.array(["f", "m"] * 150),
    "sparse": csr_array(np.eye(300)),
    "numbers": [0.5] * 300,
    "numbers of NumPy's": list(np.zeros(300)),
    "texts": ["feature"] * 300,
    "a model's layers": [np.zeros((4, 4))] * 300,
    "layers in dicts": [{"weight": np.zeros(4)}] * 300,
    "one list in a dict": {"losses": [0.5] * 300},
    "lists of two lengths": {"train": [0.5] * 300, "test": [0.5] * 20},
    "a number beside lists": {"train": [0.5] * 300, "test": [0.5] * 300, "n": 300},
    "a number per name": {f"feature {i}": 0.5 for i in range(300)},
    "a dict per name": {f"feature {i}": {"mean": 1.0, "n": 3} for i in range(300)},
    "arrays by name": {"a": np.zeros(300), "b": np.zeros(300)},
    "text": "1,2\n" * 300,
    "bytes": b"1,2\n" * 300,
    "nothing": None,
    "empty": [{}, [], ()][1],
    "moments": Moments.from_data(FRAME["age"]),
    "histogram": Histogram.from_data(FRAME["age"], range(301)),
    "labels": ValueCounts.from_data(FRAME["age"]),
    "description": describe(FRAME),
    "statistics in a list": [{"age": Moments.from_data(FRAME["age"])}] * 300,
}


@pytest.mark.parametrize("where", [lambda x: x, lambda x: {"a": [1, (x, 2)]}, lambda x: (x, [x])])
@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_found_wherever_it_is(name, where):
    value, rows, columns = TABLES[name]
    found = [table for table, _ in find_tables(where(value))]
    (largest, *_) = sorted(found, key=lambda table: -table.rows)
    assert (largest.rows, largest.columns) == (rows, columns)
    assert str(largest) == f"{rows} rows x {columns} column{'s' if columns > 1 else ''}"


@pytest.mark.parametrize("name", OTHERS)
def test_other_values_are_no_tables(name):
    assert list(find_tables({"a": OTHERS[name]})) == []


def test_only_the_nodes_path_has_keys():
    (found,) = find_tables({"Anna Muster": [0, FRAME]})
    assert (found.path, found.keyless) == ("$['Anna Muster'][1]", "$.*[1]")
