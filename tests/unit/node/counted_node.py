"""A node with a ledger, in this process, and what its analyses hand over."""

from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict

from flame_flwr.clients.reply_gate import TO_GATE
from flame_flwr.clients.reply_records import OK
from flame_flwr.config import NodeSettings
from flame_flwr.failure.failure import Failure
from flame_flwr.flower_node_state import NodeAnswer
from flame_flwr.node.gated_answer import through_gate
from flame_flwr.node.ledger_file import read_ledger
from flame_flwr.payload import encode, to_record
from flame_flwr.privacy.study_declaration import Study

REGISTRY = """
[[dataset]]
name = "ward"
type = "s3"
url = "/srv/ward"
projects = ["*"]
tags = ["pasc"]
answers-per-day = 3
[[dataset]]
name = "register"
type = "fhir"
url = "/srv/register"
projects = ["*"]
tags = ["pasc", "adults"]
"""


def result(value, **metrics):
    """Return what an analysis hands over after a round."""
    return RecordDict(
        {
            "fitres.metrics": ConfigRecord(
                {TO_GATE: Study().to_bytes(), "seconds": 0.1, **metrics}
            ),
            "fitres.num_examples": MetricRecord({"num_examples": 1}),
            "fitres.parameters": to_record(encode(value)),
            "fitres.status": ConfigRecord(OK),
        }
    )


class CountedNode:
    """A node: asked for something, its analysis answers so; what is left and failed is told."""

    def __init__(self, folder, fab, node_message):
        self.folder, self.fab, self._message = folder, fab, node_message
        self.config = {"name": "a", "state-dir": str(folder / "state"), "approval": "none"}

    def ask(self, content, kind="train", **more):
        config = {**self.config, **more.pop("node", {})}
        asked = self._message("counted", self.fab, {}, kind=kind, node=config, **more)
        ran = []

        def run(asked):
            ran.append(asked)
            return NodeAnswer(Message(content, reply_to=asked.message), None)

        self.reply = through_gate(asked, run).reply
        self.has_run = bool(ran)
        if self.reply.has_error():
            return self.reply.error.reason
        for record in self.reply.content.config_records.values():
            if isinstance(record.get("failure"), bytes):
                return str(Failure.from_json(record["failure"]))
        return ""

    @property
    def settings(self):
        return NodeSettings.from_config(self.config)

    def accounts(self):
        found = read_ledger(self.settings).accounts
        return {key: (each.answers, each.cost.figures) for key, each in found.items()}

    def register(self, text=REGISTRY):
        (self.folder / "datasets.toml").write_text(text)
        self.config = {**self.config, "datasets": str(self.folder / "datasets.toml")}


FILE = "state/gate/ledger.json"
