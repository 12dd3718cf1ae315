"""A hospital's node as its files say: an app that was approved, a newer one that waits, a log."""

from datetime import date, timedelta

from flower_app import archive, pyproject

from flame_flwr.node.app_archive import AppArchive
from flame_flwr.node.approvals_file import Approval
from flame_flwr.node.gate_folder import GateFolder
from flame_flwr.node.waiting_apps import request_of

__all__ = ["HARM", "line", "write_node"]

HARM = "<img src=x onerror=alert(1)>"
CODE = """
import socket
from flame_flwr.star import StarAnalyzer, StarModel

raise SystemExit("it must never be imported")


class Ages(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {result}


model = StarModel(Ages, Total, data_type="s3", query=["ages.csv"])
client_app = model.client_app
"""


def line(day=1, project="covid", **more):
    return {
        "time": f"2026-11-{day:02d}T10:00:00.000+00:00",
        **{"project": project, "run": "7", "app": "tests/study 1.0.0", "node": "a"},
        **{"answer_to": "train", "round": 2, "disclosure": ["MinCount(5)"], "bytes": 1000},
        **{"result": "float64 array of shape (3,)", **more},
    }


def write_node(place, name="a", project="covid"):
    """Write a node's folder and its state beside it; return the folder."""
    folder = place / "hospital"
    folder.mkdir()
    (folder / "node.toml").write_text(
        f'name = \'{name}\'\nstate-dir = "{place}/state"\naudit-log = "{place}/audit.jsonl"\n'
        'disclosure = "MinCount(5)"\nanswers-per-day = 9\n'
    )
    gate, until = GateFolder(place / "state"), date.today() + timedelta(9)
    for version, result in (("1.0.0", "len(data)"), ("1.1.0", "data")):
        text = pyproject("study", {"project-id": "covid"}, version, "app:server", "app:client_app")
        content = archive({"pyproject.toml": text, "app.py": CODE.format(result=result)})
        made = AppArchive.read(content)
        gate.keep_request(made.digest, request_of(made.title, 7, project), content)
        if version == "1.0.0":
            approval = Approval(made.digest, made.title, "covid", until, reviewer="anna")
            gate.change(lambda before, approval=approval: before.with_approval(approval))
            gate.settle(made.digest)
    return folder
