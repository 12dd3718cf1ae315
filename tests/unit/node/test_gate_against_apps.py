"""The gate, each time with an app that tries to get past it, in a real process of a message."""

import json
import time
from contextlib import suppress

import pytest

from flame_flwr import __version__
from flame_flwr.clients.reply_values import NOT_AS_EXPECTED
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import HELLO
from flame_flwr.flower_node_state import CRASHED, RAISED
from flame_flwr.node import gated_answer
from flame_flwr.payload import decode, from_record, register_type
from flame_flwr.privacy.gate import Gate
from flame_flwr.statistics import RowCount

from .attacking_apps import APP, DISGUISED, PEOPLE, PLAIN


@pytest.fixture(scope="module")
def fabs(fab_of):
    code = {"attacks": APP, "plain": PLAIN, "disguised": DISGUISED, "people": PEOPLE}
    return {name: fab_of(name, code[name]) for name in code}


@pytest.fixture
def ask(host, fabs, node_message, tmp_path):
    """Ask an app, at a node with this config; its audit log is looked at by `lines`."""

    def ask(do, app="attacks", kind="train", state=None, asked=None, project="project", **node):
        node = {"audit-log": str(tmp_path / "log"), **{k.replace("_", "-"): node[k] for k in node}}
        asked = {"do": do} if asked is None else asked
        return host.answer(node_message(app, fabs[app], asked, state, kind, node, project=project))

    return ask


@pytest.fixture
def lines(tmp_path):
    return lambda: [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


def metrics(answer):
    return dict(answer.reply.content["fitres.metrics"])


def value(answer):
    return decode(from_record(answer.reply.content["fitres.parameters"]))


def failure(answer):
    return Failure.from_json(metrics(answer)["failure"])


def everything(answer):
    """Return all texts and bytes that leave, as one text."""
    if answer.reply.has_error():
        return str(answer.reply.error)
    parts = []
    for name, record in answer.reply.content.items():
        for key, each in record.items():
            fields = [each.dtype, each.stype, each.data] if hasattr(each, "stype") else [each]
            parts += [name, key, *fields]
    return " ".join(
        part.decode("latin-1") if isinstance(part, bytes) else str(part) for part in parts
    )


def test_an_app_cannot_skip_rules(ask, lines):
    assert value(ask("few")).size == 3
    sent = value(ask("skips", asked={"do": "skips"}, disclosure="MinCount(50)"))
    assert (sent.size, sent.suppressed) == (0, 1)
    assert [line["node"] for line in lines()] == ["a", "a"]
    assert lines()[0]["app"].startswith("tests.attacks.1.0.0.")


@pytest.mark.parametrize(
    ("do", "rules", "why"),
    [
        ("rows", "MaxRows(5)", "the list of records at $ has more than 5 rows"),
        ("other_type", "MaxRows(5)", "the list of records at $ has more than 5 rows"),
        ("plain", "Strict()", "at $.* is a float"),
        ("own type", "Strict()", "at $ is a value of a type of the analysis's own"),
        ("more_metrics", "Strict()", "the plain numbers of flame.report_metrics are none"),
        ("many_examples", "Strict()", "the plain numbers of num_examples are none"),
        ("pickled", "MinCount(5)", 'does not declare payload="pickle"'),
        ("pickled", "", 'does not declare payload="pickle"'),
        ("long_header", "MinCount(5)", "more than 67108864 bytes beside its arrays"),
        ("many_elements", "MinCount(5)", "more than 2000000 elements"),
        ("no_study", "", "its own version of flame-flwr only"),
        ("path_as_rules", "", "that the analysis declares cannot be read"),
    ],
)
def test_what_may_not_leave_becomes_a_failure(ask, lines, do, rules, why):
    began = time.monotonic()
    answer = ask(do, disclosure=rules)
    assert time.monotonic() - began < 60
    assert why in failure(answer).text
    assert "Maria" not in everything(answer)
    assert lines()[-1]["failure"] == str(failure(answer))


def test_the_gates_own_work_has_a_limit(ask, lines, monkeypatch):
    def endless(*answer, **more):
        while True:
            with suppress(Exception):
                sorted(answer, key=str)

    monkeypatch.setattr(Gate, "result", endless)
    monkeypatch.setattr(gated_answer, "_seconds", lambda asked: 0.2)
    answer = ask("few")
    assert "node a lets no answer leave in round 1: its gate was not done" in failure(answer).text
    assert lines()[-1]["failure"] == str(failure(answer))


@pytest.mark.parametrize("do", ["few", "raise", "forged_failure", "error"])
def test_unreadable_rules_are_what_is_told(ask, do):
    """Whatever the app says: they may say Strict()."""
    said = everything(ask(do, disclosure="MinCont(5)"))
    assert "`disclosure` in the node config reads like" in said
    assert "Maria" not in said
    assert "strict" not in said


def test_what_is_not_of_the_form_is_dropped(ask):
    answer = ask("more_metrics")
    assert "Maria" not in everything(answer)
    assert metrics(answer) == {"auc": 0.5, "seconds": 0.0}
    answer = ask("more_records")
    assert "Maria" not in everything(answer)
    assert list(answer.reply.content) == [
        "fitres.metrics",
        "fitres.num_examples",
        "fitres.parameters",
        "fitres.status",
    ]
    assert dict(answer.reply.content["fitres.num_examples"]) == {"num_examples": 1}
    answer = ask("labelled")
    assert "Maria" not in everything(answer)
    assert value(answer) == RowCount(31)


def test_strict_lets_no_texts_of_filters_leave(ask, lines):
    assert "Maria" in everything(ask("texts_of_filters"))
    answer = ask("texts_of_filters", disclosure="Strict()")
    assert "Maria" not in everything(answer)
    assert json.loads(metrics(answer)["filters"])[0]["filter"] == "Own"
    assert (lines()[-1]["filters"], lines()[-1]["disclosure"]) == (["Own"], ["Strict"])


def test_an_own_type_passes_and_is_logged(ask, lines):
    register_type(Box, to=lambda box: box.inside, restore=Box, name="tests.Box")
    assert value(ask("own type", disclosure="MinCount(5)")).inside == 61.3
    assert lines()[-1]["result"] == "value of a type of the analysis's own 'tests.Box'"
    assert lines()[-1]["unseen"] == "1 part; the analysis says of how many: nothing"
    answer = ask("few", disclosure="MinCount(5)")
    assert "unseen" not in lines()[-1]
    assert lines()[-1]["withheld"] == {"MinCount": {"whole": 1}}
    assert "withheld" not in answer.reply.content["fitres.metrics"]  # it is for the hospital alone


@pytest.mark.parametrize(("people", "leaves"), [(4, False), (5, True)])
def test_an_own_type_of_few_people_is_refused(ask, lines, tmp_path, people, leaves):
    register_type(Box, to=lambda box: box.inside, restore=Box, name="tests.Box")
    (tmp_path / "data").mkdir()
    visits = "".join(f"p{number % people},61\n" for number in range(20))
    (tmp_path / "data" / "visits.csv").write_text(f"patient,age\n{visits}")
    answer = ask("", app="people", data=str(tmp_path / "data"), disclosure="MinCount(5)")
    if leaves:
        assert value(answer).inside == 61.0
        said = "5 people in the data"
        assert lines()[-1]["unseen"] == f"1 part; the analysis says of how many: {said}"
    else:
        assert "is of fewer than 5 people or rows" in failure(answer).text
        assert "fewer than 5" in lines()[-1]["failure"]


class Box:
    def __init__(self, inside):
        self.inside = inside


def test_hello_says_what_the_node_knows_itself(ask):
    answer = ask("", kind=HELLO)
    said = answer.reply.content["getpropertiesres.properties"]
    assert (said["name"], said["framework"], said["wire"]) == ("a", __version__, 1)
    assert (said["partitions"], said["keeps-state"], said["states"]) == (0, False, "[3]")
    assert said["gated"] is True
    assert "Maria" not in everything(answer)


def test_a_strict_node_keeps_the_words_of_findings(ask):
    assert "Maria Muster" in everything(ask("", kind=HELLO, project="finds"))
    strict = ask("", kind=HELLO, project="finds", disclosure="Strict()")
    said = strict.reply.content["getpropertiesres.properties"]
    assert json.loads(said["findings"]) == [[NOT_AS_EXPECTED, False]]
    assert "Maria" not in everything(strict)


@pytest.mark.parametrize("do", ["forged_failure", "error"])
def test_a_failures_text_is_limited(ask, do):
    strict = everything(ask(do, disclosure="Strict()"))
    assert "Maria" not in strict
    assert len(everything(ask(do))) < 3000
    assert "Maria" not in everything(ask(do, disclosure="Strict()", share_tracebacks=True))
    shared = ask("forged_failure", share_tracebacks=True)
    assert failure(shared).traceback == "Maria Muster"


def test_counts_of_filtered_answers_are_the_nodes_own(ask):
    state, counts = None, []
    for _ in range(3):
        answer = ask("filtered", state=state, filters="Clip(1.0)")
        state = answer.state
        counts.append(json.loads(metrics(answer)["filters"])[0]["answers"])
    assert counts == [1, 2, 3]


def test_a_state_of_many_records_is_dropped(ask):
    answer = ask("state")
    assert answer.reply.error.code == CRASHED
    assert "keeps more than 100 records" in answer.reply.error.reason
    assert answer.state is None


def test_another_kind_of_app_never_runs(ask, lines):
    answer = ask("", app="plain")
    assert answer.reply.error.code == RAISED
    assert "this node runs flame-flwr's analyses only" in answer.reply.error.reason
    assert "flame-flwr's analyses only" in lines()[-1]["failure"]
    disguised = ask("", app="disguised")
    assert "this node runs flame-flwr's analyses only" in failure(disguised).text
    assert "Maria" not in everything(disguised)


def test_a_pickle_from_the_server_does_not_arrive(ask):
    asked = {"do": "few", "model": Unpicklable()}
    answer = ask("", asked=asked, pickle="never")
    assert "this node loads and sends no pickles" in failure(answer).text
    assert value(ask("few", pickle="never")) == RowCount(3)


class Unpicklable:
    """What only a pickle can hold."""
