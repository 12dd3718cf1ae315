"""Advice about configs and data, and of check."""

from __future__ import annotations

import json
import re
import tempfile
import tomllib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from health_server import HealthServer

from flame_flwr.app_folder import App
from flame_flwr.cli.connection import Connection
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import NodeSettings, RunSettings
from flame_flwr.data import FolderSource, SourceData
from flame_flwr.data.credentials import check_reference
from flame_flwr.errors import ConfigError, NodeFailedError
from flame_flwr.flower import OnlineNode
from flame_flwr.node.approval import say_what_runs
from flame_flwr.payload import encode
from flame_flwr.privacy.config_text import read_filters, read_rules
from flame_flwr.results.checkpoint import AnalysisState, Checkpoint
from flame_flwr.s3.access import Access
from flame_flwr.s3.location import check_endpoint
from flame_flwr.star import (
    StarModel,
)
from flame_flwr.statistics import ValueCounts
from flame_flwr.strategies import StarStrategy
from flame_flwr.testing.subjects import _model_of
from flame_flwr.transport.greeting import Greeting
from flame_flwr.transport.registered import named_by_key

from .case import Attempt, Case, Echo, First, arguments, method, run, value_of, with_method


def _config(code: str | None) -> dict[str, Any]:
    return tomllib.loads(code.replace("{nodes}", "2")) if code else {}


class _Fails(Echo):
    def analysis_method(self, data: Any, aggregator_results: Any) -> Any:
        if data == 2:
            raise ValueError
        return data


def _named(code: str | None) -> None:
    """Greet a node as its config says it is called, whose key is registered as hospital-b."""
    said = _config(code).get("name", "hospital-a")
    greeting = named_by_key(Greeting(1, said), {1: OnlineNode("hospital-b", "")})
    if greeting.failure is not None:
        raise NodeFailedError(greeting.failure.text)


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
        first.save(AnalysisState("abc"), 1)
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


def _no_checkpoint(code: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(str(Path(folder, "none")), {"app": "a"})
        checkpoint.open(resume=code is None)  # left out is false


def _connection(code: str | None) -> None:
    """Look for connections that are not there, then for what the message says to write."""
    for name in ("xyzzy", "my study", 'of "b.c"'):
        with tempfile.TemporaryDirectory() as home:
            environment = {"FLWR_HOME": home}
            if code is None:
                Connection.read(name, environment)
            with pytest.raises(ConfigError) as raised:
                Connection.read(name, environment)
            said = _NO_CONNECTION.search(str(raised.value))
            for more in ('root-certificates = "/ca.pem"', said[3]):
                text = f"{said[1]}\n{said[2].replace('PORT', '8000')}\n{more}\n"
                Path(home, "config.toml").write_text(text)
                found = Connection.read(name, environment)
                assert found.address == "HOST:8000"
                assert found.insecure or found.certificates == "/ca.pem"


def _without_tls(code: str | None) -> None:
    with HealthServer() as port, tempfile.TemporaryDirectory() as home:
        text = f'[superlink.here]\naddress = "127.0.0.1:{port}"\n{code or ""}'
        Path(home, "config.toml").write_text(text)
        assert Connection.read("here", {"FLWR_HOME": home}).unreachable_because() == ""


def _named_model(code: str | None) -> None:
    """Look for the model of an app's module that has none."""
    module = types.ModuleType("client_app")
    if code:
        written = code.replace("` and `", "\n").replace("...", "Echo, First, 's3'")
        vars(module).update(StarModel=StarModel, Echo=Echo, First=First)
        exec(written, vars(module))
    assert _model_of(module, "app") is module.model


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


def _app(code: str | None) -> None:
    """Set a key that an app does not have; with it in the app's own config, it can be set."""
    for key, value in {"resume": True, "max-rounds": 3, "results": "s3://a/b"}.items():
        app = App(Path("app"), {}, {})
        if code:
            with pytest.raises(ConfigError) as raised:
                app.checked({key: value})
            said = re.search(r"add `(.*)`", str(raised.value))[1]
            app = App(Path("app"), tomllib.loads(said), {})
        assert app.checked({key: value}) == {key: value}


_NO_CONNECTION = re.compile(
    r'is a table there, (\[superlink\..*\]), with (address = "HOST:PORT") and root-certificates, '
    r"or (insecure = true)"
)

CONFIG = [
    Case(
        "no connection of that name",
        rf"({_NO_CONNECTION.pattern})",
        _connection,
    ),
    Case("a key that an app lacks", r"no key that is not there: add `(.*)`", _app),
    *(
        Case(
            f"a mistyped key: {mistyped}",
            r"did you mean `([^`]+)`",
            lambda code, read=read, mistyped=mistyped, value=value: read({code or mistyped: value}),
        )
        for mistyped, value, read in [
            ("on-failur", "skip", lambda given: RunSettings.from_config({"nodes": 2, **given})),
            ("naem", "a", NodeSettings.from_config),
            ("max-round", 3, App(Path("app"), {"max-rounds": 2}, {}).checked),
            ("alpha", 3, App(Path("app"), {"mine.alpha": 2}, {}).checked),
        ]
    ),
    Case("a SuperLink without TLS", r"would have to say (insecure = true)", _without_tls),
    Case("resume, and nothing is kept", r"Leave `(resume)` out to start anew", _no_checkpoint),
    Case(
        "an app without its model",
        r"build it there, as `(model = StarModel\(\.\.\.\)` and `\{?\w+\}? = model\.client_app)`",
        _named_model,
    ),
    Case(
        "a message between nodes",
        r"for later analyses, (save_intermediate_data\(data, 'local', tag=\.\.\.\))",
        lambda code: _in_analyzer("set_checkpoint(1)")(code and code.replace("...", "'x'")),
    ),
    *(
        Case(
            f"{kind} in a config",
            r"reads like (\w.*|\{example\}), or is the absolute path",
            lambda code, read=read: read(value_of(code and repr(code), "no call"), "`it`"),
        )
        for kind, read in {"rules": read_rules, "filters": read_filters}.items()
    ),
    Case("a node that fails", r'or set (on-failure = "skip") to go on', failing_node),
    Case("a checkpoint that is there", r"Say (resume = true) to go on with that", _checkpoint),
    Case(
        "a node without a place for approvals",
        r'(approval="none") in the node config lets every app run',
        lambda code: say_what_runs(NodeSettings.from_config(_config(code))),
    ),
    Case("another's name", r'registered as \S+: set (name = "[^"]*") in its node', _named),
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
    r"read it beside the code: Path\(__file__\)\.parent": lambda code: Path(__file__).parent,
    r"make paths absolute: Path\(__file__\)\.parent / \.\.\.": lambda code: (
        Path(__file__).parent / "x"
    ),
}
"""What ``check`` advises, which runs in processes of its own: the code alone is run here."""
