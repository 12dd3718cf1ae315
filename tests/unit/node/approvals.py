"""Apps, approvals for them, and messages that ask for them."""

import time
from datetime import date, timedelta

import flower_app
import pytest
from flwr.app import ConfigRecord, Context, Metadata, RecordDict
from flwr.supercore.fab import Fab

from flame_flwr.flower import Run, message_of
from flame_flwr.flower_node_state import NodeMessage
from flame_flwr.node.app_archive import digest_of
from flame_flwr.node.approval import AppRefusedError, check_app
from flame_flwr.node.approvals_file import Approval
from flame_flwr.node.gate_folder import GateFolder

TODAY = date.today()

PYPROJECT = flower_app.pyproject(
    "study",
    {"nodes": 2, "project-id": "long-covid", "alpha": 0.1},
    server="app:nothing",
    client="app:app",
)


def archive(code="", **more):
    """Return an app's archive as Flower makes it, with the list of files that it looks for."""
    files = {"pyproject.toml": PYPROJECT, "app.py": code, **more}
    lines = (f"{name},{digest_of(text.encode())},{8 * len(text)}" for name, text in files.items())
    return flower_app.archive({**files, ".info/CONTENT": "\n".join(lines)})


def asked(content, state_dir, kind="train", run_id=7, config=None, **overrides):
    metadata = Metadata(run_id, "message-1", 1, 2, "", "1", time.time(), 60.0, kind)
    usual = {"name": "hospital-a", "state-dir": str(state_dir), "sandbox": "off"}
    node = usual if config is None else config
    context = Context(run_id, 2, node, RecordDict(), {}, series_id=3)
    run = Run.create_empty(run_id)
    run.fab_id, run.fab_version = "tests/study", "1.0.0"
    run.override_config = {key.replace("_", "-"): value for key, value in overrides.items()}
    message = message_of(metadata, RecordDict({"do": ConfigRecord({})}))
    return NodeMessage(5, message, context, run, Fab(digest_of(content), content, {}))


def approved(content, **other):
    values = {"project": "long-covid", "until": TODAY + timedelta(days=1), "app": "study 1"}
    return Approval(hash=digest_of(content), **{**values, **other})


def approve(state_dir, *approvals):
    folder = GateFolder(state_dir)
    for each in approvals:
        folder.change(lambda before, each=each: before.with_approval(each))
    return folder


def refused(message):
    with pytest.raises(AppRefusedError) as error:
        check_app(message)
    assert error.value.title.endswith("at hospital-a")
    assert digest_of(message.fab.content) in error.value.message
    return error.value
