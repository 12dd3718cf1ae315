"""The audit log of a node: one line of JSON for every answer that leaves it.

It stays on the node. It says when, for which project and run, of which app, what kind of answer,
its structure and size, and a hash of its records; it holds no values but the keys of dicts, the
texts of failures and findings, the names of rules and filters, and how many figures rules withheld
or altered. A small answer travels packed as
one record, and the hash is of the records before that. An answer that cannot be noted does not
leave. A line for each start of ``flame-flwr node start`` says how the answers below it were made.
The file itself, with its chain of hashes, is :class:`flame_flwr.privacy.audit_log.AuditLog`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flwr.app import ArrayRecord, ConfigRecord

from flame_flwr.config import RUN_KEYS
from flame_flwr.errors import PayloadError
from flame_flwr.failure.failure import Failure
from flame_flwr.payload import array_from_npy, from_record
from flame_flwr.payload.opaque import look_into
from flame_flwr.payload.outline import outline
from flame_flwr.privacy.audit_log import AuditLog
from flame_flwr.running_app import app_name
from flame_flwr.statistics import ScoreInformation
from flame_flwr.transport.hello_findings import read_findings
from flame_flwr.transport.read_reply import SUMS, masked_answer

if TYPE_CHECKING:
    from flwr.app import Context, Message, RecordDict

    from flame_flwr.config import NodeSettings

__all__ = ["audit_log_of", "note", "note_start"]

_LOOKED_AT = 100
_FAILURES = ("fitres.metrics", "evaluateres.metrics", "getpropertiesres.properties")


def audit_log_of(node_config: Mapping[str, Any]) -> AuditLog | None:
    """Return the audit log that a node's config asks for, if any.

    Parameters
    ----------
    node_config : mapping of str to scalars
        As Flower gives it. A path that is not absolute is refused at hello, and is no log here.
    """
    path = node_config.get("audit-log")
    if not isinstance(path, str) or not os.path.isabs(path):
        return None
    return AuditLog(path, journal=node_config.get("audit-journal") is True)


def note(
    context: Context, message: Message, reply: Message, more: Mapping[str, Any] | None = None
) -> None:
    """Add the line of an answer to the node's audit log, where it has one.

    Parameters
    ----------
    context : Context
        Of the node and run.
    message, reply : Message
        What was asked, and what is about to leave.
    more : mapping of str to JSON values, optional
        What else the line says, such as ``app`` where another process runs it.

    Raises
    ------
    ConfigError
        The line cannot be written.
    """
    if (log := audit_log_of(context.node_config)) is None:
        return
    entry: dict[str, Any] = {
        "time": _now(),
        "project": _project(context.run_config),
        "run": str(context.run_id),
        "app": app_name(),
        "node": str(context.node_config.get("name", context.node_id)),
        "answer_to": message.metadata.message_type,
        "round": _round(message),
        **(more or {}),
    }
    if reply.has_error():
        text = f"{reply.error.code}: {reply.error.reason}"
        entry |= {"failure": text, "bytes": len(text.encode()), "sha256": _hash(text.encode())}
    else:
        entry |= _about(reply.content) | _masked(message, reply.content)
    log.append(entry)


def note_start(settings: NodeSettings, how: Mapping[str, str]) -> None:
    """Add the line of a node's start to its audit log, where it has one.

    Parameters
    ----------
    settings : NodeSettings
        Of the node.
    how : mapping of str to str
        How it runs apps, up to the next such line.

    Raises
    ------
    ConfigError
        The line cannot be written.
    """
    if settings.audit_log:
        log = AuditLog(settings.audit_log, journal=settings.audit_journal)
        about = {"project": "", "run": "", "app": "", "node": settings.name}
        log.append({"time": _now(), **about, "answer_to": "", "round": None, "started": dict(how)})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _project(run_config: Mapping[str, Any]) -> str:
    """Return the project of a run; empty where the app was refused before its config was read.

    A gated node then says itself what the run names.
    """
    project = run_config.get("project-id", RUN_KEYS["project-id"].default)
    return str(project) if run_config else ""


def _round(message: Message) -> int | None:
    configs = message.content.config_records if message.has_content() else {}
    for record in configs.values():
        number = record.get("round")
        if isinstance(number, int):
            return number
    return None


def _about(content: RecordDict) -> dict[str, Any]:
    """Describe the records of an answer, array by array and key by key."""
    about: dict[str, Any] = {}
    digest, size, records = hashlib.sha256(), 0, {}
    for name, record in content.items():
        if isinstance(record, ArrayRecord):
            records[name] = [_array(array.data) for array in record.values()]
            about |= _result(record)
            leaving = [array.data for array in record.values()]
        else:
            values: dict[str, Any] = dict(record)
            records[name] = [f"{key}: {outline(value)}" for key, value in values.items()]
            if name in _FAILURES and isinstance(values.get("failure"), bytes):
                about["failure"] = str(Failure.from_json(values["failure"]))
            if name == "fitres.metrics":
                about |= _rules_and_filters(values)
            if isinstance(values.get("findings"), str):
                found = read_findings(values["findings"]) or ()
                about["findings"] = [finding.text for finding in found]
            text = json.dumps({key: _plain(value) for key, value in values.items()})
            leaving = [text.encode()]
        # Records as they are before a small message is packed, so that the hash is of what was
        # answered and not of how it travels.
        for data in leaving:
            digest.update(data)
            size += len(data)
    return {**about, "records": records, "bytes": size, "sha256": digest.hexdigest()}


def _masked(message: Message, content: RecordDict) -> dict[str, Any]:
    """Say of an answer of secure sums that it is masked, what of it is in clear, and how long."""
    # By what was asked: an answer that only looks masked must not be noted as if it was.
    configs = message.content.config_records if message.has_content() else {}
    if not any("sums" in record for record in configs.values()):
        return {}
    arrays, metrics = content.get("fitres.parameters"), content.get("evaluateres.metrics")
    try:
        if isinstance(arrays, ArrayRecord):
            answer = masked_answer(look_into(from_record(arrays)).value)
        else:
            answer = masked_answer(metrics.get(SUMS) if isinstance(metrics, ConfigRecord) else None)
    except PayloadError:
        return {}  # a failure
    said = {"masked": True, "structure": answer.forms, "words": len(answer.words)}
    return said | _regression(answer.forms)


def _rules_and_filters(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Name the rules and filters that a result went through: an app chooses some of the names."""
    named: dict[str, list[str]] = {}
    if isinstance(values.get("disclosure"), str):
        named["disclosure"] = json.loads(values["disclosure"])
    if isinstance(values.get("filters"), str):
        named["filters"] = [said["filter"] for said in json.loads(values["filters"])]
    return named


def _array(data: bytes) -> str:
    try:
        return f"{outline(array_from_npy(data))}, {len(data)} bytes"
    except PayloadError:
        return f"{len(data)} bytes"


def _result(arrays: ArrayRecord) -> dict[str, Any]:
    """Return the structure of what user code returned; of what is opaque only that it is."""
    if not any(len(array.data) for array in arrays.values()):
        return {"result": "nothing"}
    try:
        value = look_into(from_record(arrays)).value
    except PayloadError:
        return {"result": "not a payload of the framework's"}
    return {"result": outline(value), **_regression(value)}


def _regression(value: Any) -> dict[str, Any]:
    """Return how many parameters the regression has that an answer is a round of, if it is one."""
    parameters = _parameters(value)
    return {} if parameters is None else {"regression": {"parameters": parameters}}


def _parameters(value: Any) -> int | None:
    if isinstance(value, ScoreInformation):
        return len(value.columns)
    if isinstance(value, Mapping):
        columns = value.get("columns")
        # as masked sums say what they are of
        if value.get("statistic") == ScoreInformation.__name__ and isinstance(columns, list):
            return len(columns)
        parts = list(value.values())
    else:
        parts = value[:_LOOKED_AT] if isinstance(value, list) else []
    return max((found for found in map(_parameters, parts) if found is not None), default=None)


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
