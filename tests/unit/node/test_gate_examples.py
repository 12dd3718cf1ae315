"""An example's numbers are the same to the bit: with the gate, without it, and behind a node's.

Each example is run three times over the same data: in this process as ``StarModelTester`` does; so
once more with nothing in the gate's place; and over messages, each answered by a process of its
own behind the gate of a node that has no rules. Laplace noise on a final result is left away.
"""

import hashlib
import importlib
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict
from flwr.supercore.fab import Fab

from flame_flwr.analysis.local_run import run_local
from flame_flwr.config import RunSettings
from flame_flwr.data.open_data import open_data
from flame_flwr.flower import app_archive
from flame_flwr.flower_node_state import NodeMessage
from flame_flwr.node.message_host import MessageHost
from flame_flwr.payload import decode, encode
from flame_flwr.privacy.filter_chain import apply_filters
from flame_flwr.privacy.gate import Passed
from flame_flwr.results.callbacks import Callback, with_callbacks
from flame_flwr.star.script import load_script
from flame_flwr.transport import in_process
from flame_flwr.transport.process_grid import ProcessGrid

EXAMPLES = Path(__file__).parents[3] / "examples"
SETTINGS = RunSettings.from_config({"max-rounds": 50})


@dataclass(frozen=True)
class Example:
    """An example's folder, the module of its model, and each node's data."""

    folder: str
    app: str
    data: tuple[str, ...]

    @property
    def place(self):
        return EXAMPLES / self.folder

    @property
    def app_id(self):
        return f"flame-flwr/{self.folder.replace('_', '-')}"

    def declaration(self):
        """Return what the example declares."""
        if self.app.endswith(".py"):
            return load_script(self.place / self.app).model.declaration
        return importlib.import_module(self.app).model.declaration

    def node_config(self, node):
        """Return the config of a node that has no rules."""
        return {
            **{"name": f"node-{node}", "approval": "none", "sandbox": "off"},
            **{"partition-id": node, "num-partitions": len(self.data)},
            "data": self.data[node],
        }

    def contexts(self):
        """Return every node's context, as Flower keeps it between messages."""
        return [
            Context(1, node + 1, self.node_config(node), RecordDict(), {}, 3)
            for node in range(len(self.data))
        ]


def function(folder, app, data, nodes=3):
    """An example whose nodes have the data that a function of its own makes up."""
    return pytest.param(Example(folder, app, (data,) * nodes), id=folder)


def folders(folder, app, data):
    """An example whose nodes have a folder of files each."""
    places = sorted(map(str, (EXAMPLES / folder / data).iterdir()))
    return pytest.param(Example(folder, app, tuple(places)), id=folder)


CHEAP = [
    function("quickstart", "app", "app:node_data", nodes=2),
    folders("patient_counts", "count.py", "hospitals"),
]
LONG = [
    function("fedstats", "fedstats.app", "fedstats.hospitals:node_files"),
    function("pancreas", "pancreas.app", "pancreas.hospitals:node_files"),
    function("halta", "halta.app", "halta.synthetic:node_files"),
    function("cross_site", "cross_site.app", "cross_site.hospitals:node_files", nodes=4),
    function("patient_journeys", "patient_journeys.app", "patient_journeys.synthetic:node_files"),
]


@pytest.fixture
def example(request, monkeypatch):
    """An example whose modules can be imported, until the test ends."""
    monkeypatch.syspath_prepend(str(request.param.place))
    before = set(sys.modules)
    yield request.param
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(EXAMPLES)):
            del sys.modules[name]


@pytest.fixture(scope="module")
def ready_host(host):
    """A host whose processes need not import large libraries for each message."""
    with closing(
        MessageHost(["matplotlib.pyplot", "pandas", "sklearn.linear_model", "torch"])
    ) as it:
        yield it


class NoGate:
    """What stands in the gate's place: it has no rules, and lets everything out as it comes.

    Only the filters that a study declares act, straight on the value: they make its numbers.
    """

    def __init__(self, node):
        self._node = node

    def result(self, returned, study, number, aggregate, metrics, *, sparse=True):
        if not study.filters:
            return Passed(returned)
        before = None if aggregate is None else decode(aggregate)
        first = len(study.acted)
        left, _ = apply_filters(study.filters, decode(returned), before, number, self._node, first)
        return Passed(encode(left))


class Aggregates(Callback):
    """Keeps the aggregate of every round, as bytes."""

    def __init__(self):
        self.seen = []

    def finished(self, entry, record):
        self.seen.append(to_bytes(record.aggregate))


class HostGrid(ProcessGrid):
    """A Grid whose messages are answered by a node's host, each in a process of its own."""

    def __init__(self, example, host):
        super().__init__(len(example.data))
        archive = app_archive(example.place)
        self._fab = Fab(hashlib.sha256(archive).hexdigest(), archive, {})
        self._host = host
        self._example = example
        self.contexts = example.contexts()
        self.run.fab_id, self.run.fab_version = example.app_id, "1.0.0"
        self.run.override_config = {"data": "", "project-id": SETTINGS.project_id}

    def answer(self, message):
        context = self.contexts[message.metadata.dst_node_id - 1]
        context.run_id = self.run.run_id
        answer = self._host.answer(NodeMessage(5, message, context, self.run, self._fab))
        if answer.state is not None:
            context.state = answer.state
        return answer.reply


def run_in_process(example):
    """Run an example as ``StarModelTester`` does; return its numbers."""
    splits = [open_data(c.node_config["data"], c) for c in example.contexts()]

    def run(declared, record):
        strategy, simple = declared.strategy(), declared.simple_analysis
        run_local(strategy, declared.plan, splits, SETTINGS, record, simple)

    return numbers(example, run)


def run_over_messages(example, host):
    """Run an example as a ServerApp does, on nodes with gates; return its numbers."""

    def run(declared, record):
        strategy, simple = declared.strategy(), declared.simple_analysis
        strategy.nodes_read_first = bool(declared.plan.expects)
        with HostGrid(example, host) as grid:
            strategy.start(grid, settings=SETTINGS, record=record, simple_analysis=simple)

    return numbers(example, run)


def numbers(example, run):
    """Return what a run has computed, as bytes and texts: they are equal where each bit is."""
    declared = example.declaration()
    record, aggregates = declared.new_record(), Aggregates()
    with with_callbacks(record, aggregates):
        run(declared, record)
    assert len(aggregates.seen) == len(record.history) > 0
    return {
        "files": declared.outputs.render(record.result),
        "aggregates": [*aggregates.seen, to_bytes(record.aggregate)],
        "rounds": [repr(replace(each, seconds=0, node_seconds={})) for each in record.history],
        "scores": repr(record.evaluations),
        "failures": record.failures,
    }


def to_bytes(value):
    payload = encode(value, allow_pickle=True)
    return payload.header, *(array.tobytes() for array in payload.arrays)


@pytest.mark.parametrize("example", CHEAP, indirect=True)
def test_numbers_are_equal_with_the_gate(example, host, monkeypatch):
    check_numbers(example, host, monkeypatch)


@pytest.mark.exhaustive
@pytest.mark.parametrize("example", LONG, indirect=True)
def test_larger_numbers_are_equal_with_the_gate(example, ready_host, monkeypatch):
    check_numbers(example, ready_host, monkeypatch)


def check_numbers(example, host, monkeypatch):
    gated = run_in_process(example)
    assert run_over_messages(example, host) == gated
    with monkeypatch.context() as patch:
        patch.setattr(in_process, "Gate", NoGate)
        assert run_in_process(example) == gated
