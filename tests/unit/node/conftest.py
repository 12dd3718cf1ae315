"""A node's host, and apps for it: each is built and asked as a SuperNode would."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from functools import partial

import pytest
from fhir_server import FhirServer
from flower_app import pyproject
from flwr.app import ConfigRecord, Context, Metadata, RecordDict
from flwr.cli.build import build_fab_from_disk
from flwr.supercore.fab import Fab
from forked_python import forked_servers
from s3_proxy import Proxy

from flame_flwr.failure.failure import Failure
from flame_flwr.flower import Run, message_of
from flame_flwr.flower_node_state import NodeMessage
from flame_flwr.node.message_host import MessageHost
from flame_flwr.payload import decode, encode, from_record, to_record

from .counted_node import CountedNode

OBEYING = """
from flame_flwr.clients import NodePlan, make_client_app
from flame_flwr.star import StarAnalyzer


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, code):
        told = {}
        exec(code, {"told": told})
        return told


app = make_client_app(NodePlan(Analyzer))
"""

needs_bubblewrap = pytest.mark.skipif(
    not shutil.which("bwrap"),
    reason="bubblewrap is not installed: `make test-sandbox` installs Debian's, as root",
)


@pytest.fixture(params=["off", pytest.param("bwrap", marks=needs_bubblewrap)])
def sandbox(request):
    """Both kinds of processes, one after the other."""
    return request.param


@pytest.fixture(scope="session", autouse=True)
def forks():
    """Have fork servers start as forks."""
    with forked_servers():
        yield


@pytest.fixture
def no_forks(monkeypatch):
    """Have fork servers start as a node starts them, which can be told from outside."""
    monkeypatch.setattr("flame_flwr.node.forks.subprocess", subprocess)


@pytest.fixture(scope="session")
def node_log(tmp_path_factory):
    """The file that a node's fork server writes to."""
    return tmp_path_factory.mktemp("node") / "log"


@pytest.fixture(scope="session")
def obeying_host(node_log):
    with logging_to(node_log):
        host = MessageHost()
    yield host
    host.close()


@pytest.fixture(scope="session")
def restarted(node_log):
    """A block in which a fork server that is started writes to the same log."""
    return partial(logging_to, node_log)


@contextmanager
def logging_to(file):
    """Have processes that are started in the block write their errors to a file."""
    before = os.dup(2)
    with file.open("ab") as log:
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    home = pytest.MonkeyPatch()
    home.setenv("FLWR_HOME", str(tmp_path_factory.mktemp("home")))
    host = MessageHost(["no_such_module_to_preload"])
    yield host
    host.close()
    home.undo()


@pytest.fixture(scope="session")
def fab_of(tmp_path_factory):
    """Build the archive of an app with this code."""

    def fab_of(name, code):
        folder = tmp_path_factory.mktemp(name)
        (folder / "app.py").write_text(code)
        config = {"project-id": "project", "mine.x": 1}
        text = pyproject(name, config, server="app:nothing", client="app:app")
        (folder / "pyproject.toml").write_text(text)
        (folder / "LICENSE").write_text("of the tests")
        return build_fab_from_disk(folder)

    return fab_of


@pytest.fixture(scope="session")
def node_message():
    """Make a message for a node, for the app of an archive."""

    def node_message(
        name, fab, asked, state=None, kind="train", node=None, number=1, project="project", **more
    ):
        metadata = Metadata(7, "message-1", 1, 2, "", "1", time.time(), 60.0, kind)
        prefix = {"train": "fitins", "evaluate": "evaluateins"}.get(kind, "getpropertiesins")
        config = {"round": number, "after": 0, "analyzers": json.dumps(["a"])} | more
        records = {f"{prefix}.config": ConfigRecord(config)}
        if kind in ("train", "evaluate"):
            records[f"{prefix}.parameters"] = to_record(encode(asked, allow_pickle=True))
        state = RecordDict() if state is None else state
        node = {"name": "a", "approval": "none", "sandbox": "off", **(node or {})}
        context = Context(7, 2, node, state, {}, series_id=3)
        run = Run.create_empty(7)
        run.fab_id, run.fab_version = f"tests/{name}", "1.0.0"
        run.override_config = {"project-id": project}
        archive = Fab(hashlib.sha256(fab).hexdigest(), fab, {})
        return NodeMessage(5, message_of(metadata, RecordDict(records)), context, run, archive)

    return node_message


@pytest.fixture(scope="session")
def obeying_fab(fab_of):
    return fab_of("obeying", OBEYING)


@pytest.fixture
def obey(obeying_host, obeying_fab, node_message):
    """Have a process of the node execute code, which may put something into `told`."""

    def obey(code, host=obeying_host, project="long-covid", session="0" * 32, **config):
        node = {key.replace("_", "-"): value for key, value in config.items()}
        asked = node_message(
            "obeying", obeying_fab, code, node=node, project=project, session=session
        )
        reply = host.answer(asked).reply
        if reply.has_error():
            return reply.error
        if failure := reply.content["fitres.metrics"].get("failure"):
            return Failure.from_json(failure)
        return decode(from_record(reply.content["fitres.parameters"]))

    return obey


@pytest.fixture(scope="module")
def fhir():
    with FhirServer(token="token-of-the-fhir-server", style="hapi") as server:
        yield server


@pytest.fixture(scope="module")
def store(s3_server):
    """A server whose traffic is counted."""
    with Proxy(s3_server.endpoint) as proxy:
        proxy.server = s3_server
        yield proxy


@pytest.fixture(scope="module")
def source_keys(store, fhir):
    """Have the environment hold the keys to both, as a node's does."""
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ENDPOINT_URL", store.url)
    patch.setenv("AWS_ACCESS_KEY_ID", store.server.key_id)
    patch.setenv("AWS_SECRET_ACCESS_KEY", store.server.secret)
    patch.setenv("FHIR_TOKEN", fhir.token)
    patch.setenv("PASC", store.server.secret)
    patch.setenv("WARD", store.server.key_id)
    yield
    patch.undo()


@pytest.fixture
def node(tmp_path, fab_of, node_message):
    """A node with a ledger, in this process."""
    return CountedNode(tmp_path, fab_of("counted", ""), node_message)
