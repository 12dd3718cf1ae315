"""What an app's process says of a failure, at the gate: the framework's words, and no patient's."""

import json
import re

import pytest

from flame_flwr.failure.failure import Failure
from flame_flwr.flower import HELLO

APP = """
import json
import numpy as np
from flwr.app import Error, Message
from flame_flwr.clients import NodePlan, make_client_app
from flame_flwr.data.expect import Column, Table
from flame_flwr.errors import DataError
from flame_flwr.failure import failure, tracebacks
from flame_flwr.payload import decode, from_record
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics import RowCount
from flame_flwr.transport.hello_findings import write_findings
from flame_flwr.data.mismatch import Mismatch


class TooFewError(DataError):
    pass


class Tree:
    pass


def read(data):
    return "".join(content.decode() for files in data for content in files.values())


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, asked):
        do, csv = asked["do"], read(data)
        name = csv.splitlines()[1].partition(";")[0]
        if do in ("type", "name of a type"):
            raise type(csv if do == "type" else name, (Exception,), {})
        if do in ("file", "line"):
            file, line = (name + ".py", 0) if do == "file" else ("app.py", 19610304)
            exec(compile("\\n" * line + f"def {name}():\\n  1 / 0\\n{name}()", file, "exec"), {})
        if do in WRITTEN:
            raise DataError(WRITTEN[do](csv))
        if do == "patched":
            failure.place_of = lambda trace, anywhere: csv.replace("\\n", " ")
            raise DataError("")
        if do == "own type":
            raise TooFewError("too few women in the column heart rate")
        if do == "key":
            return data[0]["nothing.csv"]
        if do == "attribute":
            return data.nothing
        if do == "none":
            return self.latest_result["nothing"]["sum"]
        if do == "path":
            return {"model": [1, {"tree": Tree()}]}
        if do == "metric":
            self.flame.report_metrics({"auc": csv})
        if do == "exit":
            raise SystemExit(csv)
        return RowCount(31)


WRITTEN = {
    "text": str,
    "letters": " ".join,
    "between": lambda csv: csv.replace(",", " rows of ").replace("\\n", " the data "),
    "dots": lambda csv: "".join("." * ord(letter) + " data" for letter in csv),
    "spaces": lambda csv: "".join(" " * ord(letter) + "data" for letter in csv),
}


def attack(message, context, call_next):
    reply = call_next(message, context)
    files = context.node_config["data"]
    csv = open(files + "/patients.csv").read()
    if message.metadata.message_type == "get_properties":
        if context.run_config["project-id"] == "finds":
            found = [Mismatch(line + " in the data", False) for line in csv.splitlines()]
            reply.content["getpropertiesres.properties"]["findings"] = write_findings(found)
        return reply
    do = decode(from_record(message.content["fitins.parameters"]))["do"]
    if do == "error":
        return Message(Error(7, "KeyError at app.py:3 in <module>: " + csv), reply_to=message)
    if do in ("names", "many names"):
        names = [csv.splitlines()[1].partition(";")[0], "TooFewError"]
        names = [f"Zach{number}" for number in range(99)] if do == "many names" else names
        study = json.loads(reply.content["fitres.metrics"]["flame_flwr.gate"])
        more = {names[0]: 1.5, "note": [csv[:199].replace("\\n", " ")], "norm": 2.0}
        study["own_rules"] = names
        study["acted"] = [{"filter": name, "applied": True, **more} for name in names]
        reply.content["fitres.metrics"]["flame_flwr.gate"] = json.dumps(study).encode()
    if do == "reply":
        said = failure.Failure(csv, csv, csv, csv).to_json()
        reply.content["fitres.metrics"]["failure"] = said
    return reply


columns = {"age": Column("number", low=0, high=120), "heart rate": Column("whole"), "sex": Column()}
plan = NodePlan(Analyzer, {}, "s3", expects=(Table("patients.csv", columns, min_rows=20),))
app = make_client_app(plan, mods=[attack])
"""

ROWS = [
    "name,sex,age,code,cm,insured",
    "Zacharias;Querfeldein,m,1961-03-04,C50.4,213,98765",
    "Wilhelmine;Unverzagt,f,1947-11-30,I10.9,187,54321",
]
PRIVATE = re.compile("Zach|Quer|Wilh|Unver|19[46][17]|C50|213|98765|187|54321")


@pytest.fixture(scope="module")
def fab(fab_of):
    return fab_of("words", APP)


@pytest.fixture
def ask(host, fab, node_message, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "patients.csv").write_text("\n".join(ROWS))

    def ask(do, kind="train", project="project", **node):
        node = {"data": str(tmp_path / "data"), **node}
        asked = {"do": do, "nothing": None}
        return host.answer(
            node_message("words", fab, asked, None, kind, node, project=project)
        ).reply

    return ask


def failure(reply):
    return Failure.from_json(reply.content["fitres.metrics"]["failure"])


def everything(reply):
    return str(reply.error) if reply.has_error() else str(dict(reply.content.items()))


TRIES = ["type", "name of a type", "file", "line", "text", "letters", "between", "dots", "spaces"]
TRIES += ["patched", "error", "reply"]


STRICT = [(do, "Strict()") for do in ("type", "text", "error", "reply")]


@pytest.mark.parametrize(("do", "disclosure"), [*((do, "") for do in TRIES), *STRICT])
def test_no_patients_word_leaves_with_a_failure(ask, do, disclosure):
    reply = ask(do, disclosure=disclosure)
    said = everything(reply)
    assert reply.has_error() or "failure" in said
    assert not PRIVATE.search(said)
    told = reply.error.reason if reply.has_error() else str(failure(reply))
    assert len(told) < 350


def test_a_place_is_one_that_there_is(ask):
    line = APP[: APP.index("raise DataError(WRITTEN")].count("\n") + 1
    assert failure(ask("text")).place == f"app.py:{line} in analysis_method"
    for do in ("file", "line", "reply", "patched"):
        assert failure(ask(do)).place == ""


def test_no_patients_word_leaves_with_findings(ask):
    reply = ask("", HELLO, "finds")
    [*found] = json.loads(reply.content["getpropertiesres.properties"]["findings"])
    assert found[0] == ["name,sex,age,code,… in the data", False]
    assert all(text.endswith("… in the data") for text, _ in found[1:])
    assert not PRIVATE.search(everything(reply))


@pytest.mark.parametrize("disclosure", ["", "Strict()"])
def test_no_patients_word_leaves_as_a_name(ask, disclosure):
    """Of rules and filters of the app's own, which it names itself."""
    reply = ask("names", disclosure=disclosure)
    said = reply.content["fitres.metrics"]
    rules = ["DisclosureRule", "TooFewError", *(["Strict"] if disclosure else [])]
    assert json.loads(said["disclosure"]) == rules
    filters = json.loads(said["filters"])
    assert [each["filter"] for each in filters] == ["UpdateFilter", "TooFewError"]
    assert [each.get("norm") for each in filters] == [None if disclosure else 2.0] * 2
    assert [(each["by"], each["applied"]) for each in filters] == [("analysis", True)] * 2
    assert not PRIVATE.search(everything(reply))
    many = ask("many names", disclosure="")
    assert json.loads(many.content["fitres.metrics"]["disclosure"]) == ["DisclosureRule"] * 99
    assert not PRIVATE.search(everything(many))


@pytest.mark.parametrize(
    ("do", "told"),
    [
        ("own type", "TooFewError at {}: too few women in the column heart rate"),
        ("key", "KeyError at {}: the data has no file of that name: what is there is listed in "),
        ("attribute", "AttributeError at {}"),
        ("none", "TypeError at {}"),
        ("exit", "SystemExit at {}: user code called sys.exit; return a value or raise an error"),
        ("path", "PayloadError: A value of type app.Tree at $.*[1].* cannot travel between nodes."),
        ("metric", "ModelError at {}: flame.report_metrics"),
    ],
)
def test_the_frameworks_own_words_leave(ask, do, told):
    said = re.sub(r"app.py:\d+ in analysis_method", "{}", str(failure(ask(do))))
    assert said.startswith(told)
    assert "…" not in said


def test_findings_leave_in_the_studys_words(ask):
    said = ask("", HELLO).content["getpropertiesres.properties"]
    assert [text for text, _ in json.loads(said["findings"])] == [
        "patients.csv has no column 'heart rate'",
        "patients.csv has fewer than 20 rows",
        "patients.csv: column 'age' holds other things than numbers",
    ]
