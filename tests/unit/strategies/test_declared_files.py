"""The files that a strategy declares: written, rescued, and checked when it is built."""

import numpy as np
import pytest

from flame_flwr.aggregation import (
    Sum,
)
from flame_flwr.errors import ModelError, ResultError
from flame_flwr.star import StarModel, StarModelTester
from flame_flwr.strategies import ReduceStrategy

from .regression import Nothing


class Files(ReduceStrategy):
    reductions = {"n": Sum()}
    outputs = (
        ("total.txt", "str", lambda final: f"{final['n']} in all"),
        ("total.bin", "bytes", lambda final: np.array([final["n"]], np.int64)),
        ("total.pkl", "pickle", lambda final: final),
    )


def test_outputs_of_mixed_types_are_written(tmp_path):
    tester = StarModelTester([4, 5], Nothing, Files, "s3", filename=tmp_path / "out")
    assert tester.result == ["9 in all", np.array([9]), {"n": 9}]
    assert (tmp_path / "out" / "total.txt").read_text() == "9 in all"
    assert np.frombuffer((tmp_path / "out" / "total.bin").read_bytes(), np.int64) == 9
    assert len(list((tmp_path / "out").glob("total.*"))) == 3
    model = StarModel(Nothing, Files, "s3")
    assert model.outputs.names == ("total.txt", "total.bin", "total.pkl")


def test_a_result_that_does_not_fit_is_rescued(tmp_path):
    class Bad(Files):
        outputs = (("a.bin", "bytes", lambda final: final["n"]),)

    with pytest.raises(ResultError, match=r"a\.bin: output_type 'bytes' needs bytes"):
        StarModelTester([1, 2], Nothing, Bad, "s3", filename=tmp_path)
    assert (tmp_path / "rescue.pkl").exists()


@pytest.mark.parametrize(
    ("outputs", "what"),
    [
        ([("a.txt", "text", str)], "output_type must be one of"),
        ([("../a.txt", "str", str)], "without folders"),
        ([("run.json", "str", str)], "taken by the run's own files"),
        ([("a", "str", str), ("a", "str", str)], "twice"),
        ([("a", "str", lambda: 1)], "must take one argument"),
        ([("a", "str")], "is not \\(filename, type, function\\)"),
        ([("a", "str", "b")], "is not \\(filename, type, function\\)"),
        ("a.txt", "must be a list of"),
    ],
)
def test_outputs_are_checked_when_the_strategy_is_built(outputs, what):
    with pytest.raises(ModelError, match=what):
        ReduceStrategy({"n": Sum()}, outputs=outputs)


def test_files_are_declared_once():
    for more in ({"filename": "x"}, {"output_type": "pickle"}, {"multiple_results": True}):
        with pytest.raises(ModelError, match="Files declares its files itself"):
            StarModel(Nothing, Files, "s3", **more)
    with pytest.raises(ModelError, match="Files does not fit aggregator_kwargs"):
        StarModel(Nothing, Files, "s3", aggregator_kwargs={"reduction": 1})
    with pytest.raises(ModelError, match="belong to a class"):
        StarModel(Nothing, Files(), "s3", aggregator_kwargs={"outputs": ()})
