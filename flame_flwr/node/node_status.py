"""What a running node does, in a small file for ``flame-flwr node status``.

It lies beside the audit log, where the service's group may read it, or else in ``state-dir``, as
where the log's folder cannot be written. A node that keeps neither has no such file.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from flame_flwr import __version__
from flame_flwr.errors import ConfigError
from flame_flwr.files import write_whole
from flame_flwr.log import logger
from flame_flwr.node.approval import project_asked
from flame_flwr.node.gate_folder import GateFolder
from flame_flwr.node.ledger_file import trouble_with_ledger
from flame_flwr.privacy.audit_log import AuditLog
from flame_flwr.processes.threads import call_beside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flame_flwr.config import NodeSettings
    from flame_flwr.flower_node_state import NodeMessage
    from flame_flwr.node.server_clock import ServerClock

__all__ = ["NodeStatus", "StatusFile", "read_status", "status_path", "why_nothing_runs"]

_WRITE_EVERY = 10.0
_SILENT_AFTER = 60.0
_MODE = 0o640


@dataclass
class NodeStatus:
    """What is known of a node; times are seconds since 1970.

    Attributes
    ----------
    pid : int
        Its process.
    started, written, ended : float
        When it was started, when it has last said so, and when it ended; 0 of one that runs.
    versions : dict of str to str
        Of flame-flwr, Flower and Python.
    stock : bool
        Whether it is Flower's own program, which says no more.
    sandbox : str
        In words, whether analyses run in a sandbox.
    last_contact : float or None
        When the server last took a call of it.
    clock : float or None
        Seconds that its clock is ahead of the server's.
    trouble : str
        Why no answer leaves it; empty where answers do.
    answers : int
        How many messages it has answered since it was started.
    message : dict of str to str
        The message that it answers at the moment; empty where there is none.
    """

    pid: int = 0
    started: float = 0.0
    written: float = 0.0
    ended: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    stock: bool = False
    sandbox: str = ""
    last_contact: float | None = None
    clock: float | None = None
    trouble: str = ""
    answers: int = 0
    message: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """Whether its process is there, and has not fallen silent."""
        is_silent = not self.stock and time.time() - self.written > _SILENT_AFTER
        return not self.ended and not is_silent and _is_process(self.pid)


class StatusFile:
    """The file that a running node writes, every ten seconds and with every message.

    Parameters
    ----------
    settings : NodeSettings
        Of the node.
    clock : ServerClock
        What it knows of the server.
    stock : bool
        Whether it is Flower's own program.
    sandbox : str
        In words, whether analyses run in a sandbox.
    """

    def __init__(
        self, settings: NodeSettings, clock: ServerClock, *, stock: bool = False, sandbox: str = ""
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._said = False
        versions = {"flame-flwr": __version__, "Flower (flwr)": version("flwr")}
        versions["Python"] = ".".join(map(str, sys.version_info[:3]))
        self._status = NodeStatus(
            os.getpid(), time.time(), versions=versions, stock=stock, sandbox=sandbox
        )
        self._status.trouble = _trouble(settings)

    def start(self) -> None:
        """Write the file now, and from now on in a thread of its own."""
        self.write()
        call_beside(self._go_on, "node-status")

    def stop(self) -> None:
        """Write that the node has ended."""
        self._stopped.set()
        self._status.ended = time.time()
        self.write()

    @contextmanager
    def answering(self, asked: NodeMessage) -> Iterator[None]:
        """Have the file say, within the block, that a message is being answered."""
        self._status.message = {
            "kind": asked.message.metadata.message_type,
            "run": str(asked.context.run_id),
            "app": asked.app_folder,
            "project": project_asked(asked),
            "since": str(time.time()),
        }
        self.write()
        try:
            yield
        finally:
            self._status.message = {}
            self._status.answers += 1
            self.write()

    def write(self) -> None:
        """Write the file whole; a node also runs where that cannot be done."""
        paths = _paths(self._settings)
        if not paths:
            return
        with self._lock:  # its own thread writes it, and the one that answers messages
            self._status.written = time.time()
            self._status.last_contact = self._clock.last_contact
            self._status.clock = self._clock.difference
            text = json.dumps(asdict(self._status), indent=1)
            failed = [_write(path, text) for path in paths[:1]]
            if failed != [None]:  # then in `state-dir`, where its user alone can read it
                failed += [_write(path, text) for path in paths[1:]]
            if None not in failed and not self._said:
                logger.warning(
                    "%s cannot be written (%s): `flame-flwr node status` knows nothing of "
                    "this node",
                    paths[-1],
                    failed[-1],
                )
                self._said = True

    def _go_on(self) -> None:
        while not self._stopped.wait(_WRITE_EVERY):
            self._status.trouble = _trouble(self._settings)
            self.write()


def status_path(settings: NodeSettings) -> Path | None:
    """Return where a node writes what it does; ``None`` where it has no such place."""
    return next(iter(_paths(settings)), None)


def _paths(settings: NodeSettings) -> list[Path]:
    """Return where a node writes what it does: where it can first, of these."""
    name = f"{quote(settings.name or 'node', safe=' ')}.status.json"
    log = [Path(settings.audit_log).with_name(name)] if settings.audit_log else []
    return [*log, *([Path(settings.state_dir, name)] if settings.state_dir else [])]


def _write(path: Path, text: str) -> OSError | None:
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        write_whole(path, [text.encode()], _MODE, lasting=False)
    except OSError as error:
        return error
    return None


def _trouble(settings: NodeSettings) -> str:
    """Say why no answer can be noted or counted: then none leaves."""
    if settings.audit_log:
        try:
            AuditLog(settings.audit_log).check()
        except ConfigError as error:
            return error.message
    return trouble_with_ledger(settings)


def read_status(settings: NodeSettings) -> NodeStatus | None:
    """Read what a node has written last; ``None`` of one that never ran.

    Raises
    ------
    ConfigError
        The file cannot be read, or is none of a node's.
    """
    found: list[NodeStatus] = []
    failed: ConfigError | None = None
    for path in _paths(settings):
        try:
            found += _read(path)
        except ConfigError as error:
            failed = failed or error
    if failed is not None and not found:
        raise failed
    return max(found, key=lambda status: status.written, default=None)


def _read(path: Path) -> list[NodeStatus]:
    from pydantic import TypeAdapter, ValidationError  # whoever only writes has no need of it

    try:
        return [TypeAdapter(NodeStatus).validate_json(path.read_bytes(), strict=True)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}. The node's user may read it, and that "
            "user's group. Where the node cannot write there either, no answer leaves it"
        ) from error
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        what = error.errors()[0]["msg"]
        raise ConfigError(f"{path} is not what a node writes: {where}: {what}") from error


def why_nothing_runs(settings: NodeSettings) -> str:
    """Say why a node lets no app run: its approvals cannot be read; empty where they can.

    It is empty, too, where this process's user may not look, as may nobody but the node's.
    """
    if settings.approval == "none" or not settings.state_dir:
        return ""
    path, user = status_path(settings), os.geteuid()
    with suppress(OSError):
        user = path.stat().st_uid if path is not None else user  # the node has written it
    try:
        GateFolder(settings.state_dir, user).approvals()
    except ConfigError as error:
        may_look = not isinstance(error.__cause__, PermissionError) or user == os.geteuid()
        return str(error) if may_look else ""
    return ""


def _is_process(pid: int) -> bool:
    with suppress(PermissionError):  # another user's
        try:
            os.kill(pid, 0)  # sends nothing
        except (ProcessLookupError, OverflowError):
            return False
    return pid > 0
