"""Where the system refuses a file, the message begins with the system's own reason, and no path."""

import errno
import os
import resource
from contextlib import suppress

import pytest
from flwr.app import Message, RecordDict

from flame_flwr.clients import NodePlan
from flame_flwr.clients.app import make_client_app
from flame_flwr.data import open_data, open_kept_values
from flame_flwr.data.cache import Cache
from flame_flwr.data.registry import read_registry
from flame_flwr.errors import FlameError
from flame_flwr.failure.failure import Failure
from flame_flwr.files import reason_of
from flame_flwr.flower import in_process, set_message_id
from flame_flwr.privacy.audit_log import AuditLog
from flame_flwr.privacy.config_text import read_rules
from flame_flwr.star import StarAnalyzer

REASONS = {
    errno.EMFILE: "Too many open files in this process, as where code opens files and does not",
    errno.ENFILE: "Too many open files in system: ",
    errno.ENOSPC: "No space left on device: ",
    errno.EACCES: "Permission denied: ",
    errno.EROFS: "Read-only file system: ",
    errno.EIO: "Input/output error: ",
}


def audit_log(folder, context):
    AuditLog(str(folder / "Maria" / "audit.jsonl")).check()


def kept(folder, context):
    open_kept_values(str(folder), "p", "node-0", where="this node's config").save(1, "tag")


def cache(folder, context):
    Cache(folder / "cache", 1e9).check()


def registry(folder, context):
    read_registry(folder / "datasets.toml")


def rules(folder, context):
    read_rules(str(folder / "rules"), "`disclosure` in this node's config")


def data_file(folder, context):
    open_data(str(folder), context()).load("s3", None)


def bundle(folder, context):
    open_data(str(folder), context()).load("fhir", "Patient")


@pytest.mark.parametrize("number", REASONS)
@pytest.mark.parametrize("use", [audit_log, kept, cache, registry, rules, data_file, bundle])
def test_a_message_begins_with_the_systems_reason(use, number, tmp_path, context, monkeypatch):
    def refuse(path, *arguments, **more):
        raise OSError(number, os.strerror(number), str(path))

    for name in ("datasets.toml", "rules", "Maria.csv", "Patient.json"):
        (tmp_path / name).touch()
    with monkeypatch.context() as patch:
        for refused in ("os.open", "os.mkdir", "io.open", "tempfile.mkstemp"):
            patch.setattr(refused, refuse)
        for method in ("mkdir", "open", "read_bytes", "read_text"):
            patch.setattr(f"pathlib.Path.{method}", refuse)
        with pytest.raises(FlameError) as raised:
            use(tmp_path, context)
    assert raised.value.message.startswith(REASONS[number])
    assert "Maria" not in raised.value.message
    assert str(tmp_path) not in raised.value.message


def test_user_code_that_leaves_files_open_reads_that(tmp_path, context, monkeypatch):
    class Leaks(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return 1

    def leak(message, context, call_next):
        with suppress(OSError):
            while True:
                leaked.append(os.open(os.devnull, os.O_RDONLY))
        return Message(RecordDict({}), reply_to=message)

    leaked = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    app = make_client_app(NodePlan(Leaks), mods=[leak])
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with in_process(1, 0):
            message = Message(RecordDict({}), 7, "train")
            set_message_id(message, "message-1")
            reply = app(message, context({"audit-log": str(tmp_path / "audit.jsonl")}))
    finally:
        for handle in leaked:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "Too many open files in this process" in reply.error.reason
    assert reply.error.reason.index("Too many") < reply.error.reason.index("`audit-log`")


def test_errors_without_a_number_show_their_type():
    assert reason_of(OSError("odd")) == "OSError"
    assert reason_of(UnicodeDecodeError("utf-8", b"x", 0, 1, "odd")) == "UnicodeDecodeError"
    assert "secret" not in reason_of(OSError(errno.EIO, "a secret", "/secret"))
    assert Failure.of(OSError(errno.EIO, "secret"), share=False).text == ""
