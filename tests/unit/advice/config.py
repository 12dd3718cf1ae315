"""Advice about configs and data, of check, and what is followed elsewhere."""

from __future__ import annotations

import json
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flame_flwr.clients import NodePlan
from flame_flwr.config import RunSettings
from flame_flwr.data import FolderSource, SourceData
from flame_flwr.data.credentials import check_reference
from flame_flwr.engine.checkpoint import Checkpoint, Progress
from flame_flwr.engine.local_grid import LocalGrid
from flame_flwr.payload import encode
from flame_flwr.s3 import Access, check_endpoint
from flame_flwr.star import (
    StarModel,
)
from flame_flwr.statistics import ValueCounts
from flame_flwr.strategies import StarStrategy

from .case import Attempt, Case, Echo, First, arguments, method, run, value_of, with_method


def _config(code: str | None) -> dict[str, Any]:
    return tomllib.loads(code.replace("{nodes}", "2")) if code else {}


class _Fails(Echo):
    def analysis_method(self, data: Any, aggregator_results: Any) -> Any:
        if data == 2:
            raise ValueError
        return data


def failing_node(code: str | None, nodes: int = 3) -> None:
    """Run an analysis of which the second node fails."""
    strategy = StarStrategy(First)
    with LocalGrid(NodePlan(_Fails, data_type="s3"), list(range(1, nodes + 1))) as grid:
        settings = RunSettings.from_config({"nodes": nodes, **_config(code)})
        strategy.start(grid, settings=settings, simple_analysis=True)


def _checkpoint(code: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "kept"))
        first = Checkpoint(path, {"app": "a"})
        first.open(resume=False)
        first.save(Progress("abc"), 1)
        Checkpoint(path, {"app": "a"}).open(**{"resume": False} | _config(code))


def _reference(code: str | None) -> None:
    reference = tomllib.loads(f"token = {code}")["token"] if code else "secret"
    check_reference(reference, "token")


def _addressing(code: str | None) -> None:
    style = _config(code).get("addressing", "virtual-host")
    Access(endpoint="https://10.0.0.1", virtual_host=style == "virtual-host")


def _fhir(code: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        answer = {"resourceType": "Bundle", "type": "searchset", "entry": []}
        Path(folder, "Patient.json").write_text(json.dumps(answer))
        source = FolderSource(Path(folder), "data source 1")
        model = StarModel(Echo, First, "fhir", **arguments(code))
        SourceData([source]).load("fhir", model.plan.query)


def _in_analyzer(call: str) -> Attempt:
    """Call the handle in an analyzer as the code says."""

    def attempt(code: str | None) -> None:
        body = f"name = number = 1\n    return self.flame.{code or call}"
        own = with_method(Echo, "analysis_method", "self, data, last", body)
        run([[{"Patient?_count=100": {}}]], analyzer=own, data_type="fhir")

    return attempt


def _initialized(body: str) -> Attempt:
    def attempt(code: str | None) -> None:
        said = code.replace("super()", "super(type(self), self)") if code else body
        changed = type("Changed", (Echo,), {"__init__": method("__init__", "self, flame", said)})
        run([1.0], analyzer=changed)

    return attempt


_OBJECTS_MIXED = np.array([1, object()], dtype=object)
_DATES = pd.Series(pd.to_datetime(["2026-01-01"]))
_OBJECTS = np.array([1, 2], dtype=object)

CONFIG = [
    Case("a node that fails", r'or set (on-failure = "skip") to go on', failing_node),
    Case("a checkpoint that is there", r"Say (resume = true) to go on with that", _checkpoint),
    Case("a credential", r'must be a reference, \{?(\{ env = "NAME" \})', _reference),
    Case("a credential's file", r'or \{?(\{ file = "/absolute/path" \})', _reference),
    Case("an address of a store", r'or set (addressing = "path")', _addressing),
    Case(
        "a store without TLS",
        r"(set allow-http = true)",
        lambda code: check_endpoint(
            "http://store.example",
            "`endpoint`",
            _config(code and code.removeprefix("set ")).get("allow-http", False),
            "set allow-http = true",
        ),
    ),
    Case("FHIR without a query", r"FHIR data needs a query, such as (query='[^']*')", _fhir),
    Case(
        "get_fhir_data without a query",
        r"needs a query, such as (get_fhir_data\('[^']*'\))",
        _in_analyzer("get_fhir_data()"),
    ),
    Case(
        "print's way of logging",
        r'an f-string, such as (flame_log\(f"found \{number\} patients"\))',
        _in_analyzer("flame_log('found', number, 'patients')"),
    ),
    Case(
        "a constructor that hands nothing on",
        r"__init__ hands it on: (super\(\)\.__init__\(flame\))",
        _initialized("super(type(self), self).__init__()"),
    ),
    Case(
        "a constructor that does not call the base's",
        r"__init__ must call (super\(\)\.__init__\(flame\)) before",
        _initialized("self.x = 1"),
    ),
    *(
        Case(
            f"an array of objects, {form}",
            pattern,
            lambda code: encode(
                value_of(code and f"own{code}", _OBJECTS_MIXED, own=_OBJECTS), allow_pickle=False
            ),
        )
        for form, pattern in {
            "float": r"Convert it with (\.astype\(float\)) or",
            "text": r"or (\.astype\(str\)), or return",
            "list": r"or return its (\.tolist\(\))",
        }.items()
    ),
    Case(
        "labels of another kind",
        r"convert the column, for example with (\.astype\(str\))",
        lambda code: ValueCounts.from_data(
            value_of(code and f"own{code}", _DATES, own=_DATES), ["2026-01-01"]
        ),
    ),
]


RECIPES: dict[str, Callable[[str], Any]] = {
    r"Make one answer of it: `(bool\(\(change < tolerance\)\.all\(\)\))`": lambda code: eval(
        code, {"change": np.zeros(3), "tolerance": 1.0}
    ),
    r"a limit ends it in any case: `or (self\.num_iterations >= 50)`": lambda code: run(
        [1.0],
        with_method(First, "has_converged", "self, result, last", f"return {code}"),
        simple_analysis=False,
    ),
    r"numpy\.random\.default_rng\(seed\)": lambda code: np.random.default_rng(3),
    r"Make it in the method that needs it: Path\(\.\.\.\)\.mkdir\(exist_ok=True\)": lambda code: (
        Path(tempfile.gettempdir()).mkdir(exist_ok=True)
    ),
    r"make paths absolute: Path\(__file__\)\.parent / \.\.\.": lambda code: (
        Path(__file__).parent / "x"
    ),
}
"""What ``check`` advises, which runs in processes of its own: the code alone is run here."""

ELSEWHERE = {
    r"these come from you: plugins\.strategy\(": "docs/plugins.md, by its page's test",
    r"builds no model: call StarModel\(": "tests/unit/star/test_script.py",
    r"has a StarModelTester only": "tests/unit/star/test_script.py",
    r"StarModel\(\.\.\.\) needs data: --data": "tests/unit/star/test_script.py",
    r"such as script = \"analysis\.py\"": "tests/unit/star/test_script_flower.py",
    r"such as flame_log\(f\"\{name\} has arrived\"\)": "a warning; the case of the error beside it",
}
"""Advice that tests elsewhere follow."""

NOT_ADVICE = {
    r"statistics have merge\(\) and result\(\)": "what a statistic has",
    r"has no save\(\) and load\(\)": "what an aggregation lacks",
    r"multiple_results=True needs a list": "what was declared",
    r"location='global' is not available": "what was asked for",
    r"under way: call start\(\)": "for who calls the strategy's inner methods, by no user's way",
}
