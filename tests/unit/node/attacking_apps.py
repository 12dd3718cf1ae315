"""Apps that try to get past a node's gate; one of them does whatever it is asked."""

APP = """
import json
import sys
import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flame_flwr.clients import NodePlan, make_client_app
from flame_flwr.clients.expectation_limit import EXPECTED, digests_of
from flame_flwr.data.expect import Table
from flame_flwr.failure.failure import Failure
from flame_flwr.payload import Payload, decode, encode, from_record, register_type, to_record
from flame_flwr.privacy import GaussianNoise
from flame_flwr.privacy import disclosure, study_declaration
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics import RowCount


class Box:
    def __init__(self, inside):
        self.inside = inside


register_type(Box, to=lambda box: box.inside, restore=Box, name="tests.Box")
ROWS = [{"name": "Maria Muster", "age": age} for age in range(10)]


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, asked):
        do = asked["do"]
        if do == "raise":
            raise ValueError("Maria Muster")
        return {
            "rows": ROWS, "few": RowCount(3), "plain": {"mean": 61.3}, "own type": Box(61.3),
            "filtered": np.ones(3),
        }.get(do, RowCount(31))


def skips(message, context, call_next):
    disclosure.apply_rules = lambda rules, result: result
    disclosure.joint_rules = lambda *declared: ()
    disclosure.encode_allowed = lambda value, allow_pickle: encode(value)
    study_declaration.write_text = lambda declared: ""
    sys.modules["flame_flwr.clients.node"].Node._own_rules = lambda self, *given: given[-1]
    return call_next(message, context)


def other_type(reply):
    reply.content["fitres.parameters"] = to_record(encode(ROWS))


def more_metrics(reply):
    metrics = reply.content["fitres.metrics"]
    for key, value in {
        "name": "Maria Muster", "csv": b"Maria Muster", "ages": [61, 47], "seconds": "Maria Muster",
        "size": "Maria Muster", "disclosure": '["Maria"]', "filters": '[{"filter": "Maria"}]',
        "auc": 0.5, "=age": 61.0,
    }.items():
        metrics[key] = value


def more_records(reply):
    reply.content["stolen"] = ConfigRecord({"csv": "Maria Muster"})
    reply.content["fitres.status"] = ConfigRecord({"code": 0, "message": "Maria Muster"})
    reply.content["fitres.num_examples"] = MetricRecord({"num_examples": 1, "age": 61})


def labelled(reply):
    arrays = reply.content["fitres.parameters"]
    for key, array in list(arrays.items()):
        arrays[key] = Array(dtype="Maria", shape=(6, 1), stype="Muster", data=array.data)


def no_study(reply):
    del reply.content["fitres.metrics"]["flame_flwr.gate"]


def texts_of_filters(reply):
    said = json.loads(reply.content["fitres.metrics"]["flame_flwr.gate"])
    said["acted"] = [{"filter": "Own", "applied": True, "note": ["Maria Muster"]}]
    reply.content["fitres.metrics"]["flame_flwr.gate"] = json.dumps(said).encode()


def path_as_rules(reply):
    said = b'{"rules": "/etc/passwd", "filters": "", "acted": [], "own_rules": [],'
    reply.content["fitres.metrics"]["flame_flwr.gate"] = (
        said + b' "allow_pickle": false, "evidence": {}}'
    )


def long_header(reply):
    header = b"\\x93\\xa5flame\\x01\\xc6" + (65 * 2**20).to_bytes(4, "big") + bytes(65 * 2**20)
    reply.content["fitres.parameters"] = to_record(Payload(header))


def many_elements(reply):
    count = 30 * 2**20
    header = b"\\x93\\xa5flame\\x01\\xdd" + count.to_bytes(4, "big") + b"\\x80" * count
    reply.content["fitres.parameters"] = to_record(Payload(header))


def forged_failure(reply):
    failure = Failure("Maria Muster", "Maria Muster", "Maria Muster" * 1000, "Maria Muster")
    reply.content["fitres.metrics"]["failure"] = failure.to_json()


def many_examples(reply):
    reply.content["fitres.num_examples"] = MetricRecord({"num_examples": 1961})


def pickled(reply):
    reply.content["fitres.parameters"] = to_record(encode({"x": object()}, allow_pickle=True))


CHANGES = {f.__name__: f for f in (
    other_type, more_metrics, more_records, labelled, no_study, path_as_rules, long_header,
    many_elements, forged_failure, many_examples, pickled, texts_of_filters,
)}


def attack(message, context, call_next):
    kind = message.metadata.message_type
    if kind == "get_properties":
        reply = call_next(message, context)
        said = reply.content["getpropertiesres.properties"]
        for key, value in {"name": "b", "framework": "9.9", "versions": '{"Maria": "1961"}',
                           "gated": False, "wire": 99, "states": '["Maria", 3]', "more": "Maria",
                           "partitions": 1961, "keeps-state": "Maria"}.items():
            said[key] = value
        if context.run_config["project-id"] == "finds":
            said["findings"] = '[["Maria Muster", false]]'
            said[EXPECTED] = digests_of([Table("patients.csv")])
        return reply
    do = decode(from_record(message.content["fitins.parameters"]))["do"]
    if do == "skips":
        return skips(message, context, call_next)
    if do == "error":
        return Message(Error(7, "Maria Muster"), reply_to=message)
    if do == "state":
        for number in range(200):
            context.state[str(number)] = ConfigRecord({"x": 1})
    reply = call_next(message, context)
    if do == "filtered":
        context.state["flame_flwr.filtered"] = ConfigRecord({"answers": "[-1000]"})
    if do in CHANGES:
        CHANGES[do](reply)
    return reply


app = make_client_app(NodePlan(Analyzer, allow_pickle=False), mods=[attack])
"""

PLAIN = """
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flame_flwr.clients.app import NodeClientApp

app = ClientApp()

@app.train()
def train(message, context):
    return Message(RecordDict({"csv": ConfigRecord({"csv": "Maria Muster"})}), reply_to=message)
"""

PEOPLE = """
from flame_flwr.clients import NodePlan, make_client_app
from flame_flwr.data.expect import Table
from flame_flwr.payload import register_type
from flame_flwr.star import StarAnalyzer


class Box:
    def __init__(self, inside):
        self.inside = inside


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return Box(61.0)


register_type(Box, to=lambda box: box.inside, restore=Box, name="tests.Box")
visits = Table("visits.csv", subject="patient")
app = make_client_app(NodePlan(Analyzer, {}, "s3", expects=(visits,)))
"""

DISGUISED = PLAIN.replace("app = ClientApp()", "app = NodeClientApp()")
