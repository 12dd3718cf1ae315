"""The audit log of a node: one line of JSON for every answer that leaves it.

It stays on the node. It says when, in which run, of which app, what kind of answer, its structure
and size, and a hash of exactly the bytes that Flower sends; it holds no values. An answer that
cannot be noted does not leave.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flwr.app import ArrayRecord

from flame_flwr.errors import ConfigError, PayloadError
from flame_flwr.failure.failure import Failure
from flame_flwr.files import reason_of
from flame_flwr.flower import app_name
from flame_flwr.payload import array_from_npy, decode, from_record
from flame_flwr.payload.outline import outline
from flame_flwr.transport.participation import read_findings

if TYPE_CHECKING:
    from flwr.app import Context, Message, RecordDict

__all__ = ["AuditLog"]

_FAILURES = ("fitres.metrics", "evaluateres.metrics", "getpropertiesres.properties")


class AuditLog:
    """A file to which lines are added, of this user's alone (mode 0600).

    Parameters
    ----------
    path : str
        An absolute path, `audit-log` in the node config.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def check(self) -> None:
        """See that lines can be added.

        Raises
        ------
        ConfigError
            The file cannot be written.
        """
        self._add("")

    def note(self, context: Context, message: Message, reply: Message) -> None:
        """Add the line of an answer.

        Parameters
        ----------
        context : Context
            Of the node and run.
        message, reply : Message
            What was asked, and what is about to leave.

        Raises
        ------
        ConfigError
            The file cannot be written.
        """
        entry: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "run": str(context.run_id),
            "app": app_name(),
            "node": str(context.node_config.get("name", context.node_id)),
            "answer_to": message.metadata.message_type,
            "round": _round(message),
        }
        if reply.has_error():
            text = f"{reply.error.code}: {reply.error.reason}"
            entry |= {"failure": text, "bytes": len(text.encode()), "sha256": _hash(text.encode())}
        else:
            entry |= _about(reply.content)
        self._add(json.dumps(entry) + "\n")

    def _add(self, line: str) -> None:
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                data = line.encode()
                if os.write(handle, data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise ConfigError(
                f"{reason_of(error)}: "
                f"`audit-log` in this node's config cannot be written ({type(error).__name__}), "
                "and without it no answer leaves this node",
                detail=str(error),
            ) from error


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
            about["result"] = _result(record)
            leaving = [array.data for array in record.values()]
        else:
            values: dict[str, Any] = dict(record)
            records[name] = [f"{key}: {outline(value)}" for key, value in values.items()]
            if name in _FAILURES and isinstance(values.get("failure"), bytes):
                about["failure"] = str(Failure.from_json(values["failure"]))
            if isinstance(values.get("findings"), str):
                found = read_findings(values["findings"]) or ()
                about["findings"] = [finding.text for finding in found]
            text = json.dumps({key: _plain(value) for key, value in values.items()})
            leaving = [text.encode()]
        # The hash is of exactly what Flower sends, so that a hospital can compare it.
        for data in leaving:
            digest.update(data)
            size += len(data)
    return {**about, "records": records, "bytes": size, "sha256": digest.hexdigest()}


def _array(data: bytes) -> str:
    try:
        return f"{outline(array_from_npy(data))}, {len(data)} bytes"
    except PayloadError:
        return f"{len(data)} bytes"


def _result(arrays: ArrayRecord) -> str:
    """Return the structure of what user code returned; of a pickle only that it is one."""
    if not any(len(array.data) for array in arrays.values()):
        return "nothing"
    try:
        return outline(decode(from_record(arrays)))
    except PayloadError:
        return "not a payload of the framework's, or a pickle"


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
