"""``flame-flwr node start``: Flower's SuperNode, with its messages answered by forked processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from flame_flwr.config import NodeSettings
from flame_flwr.data.local_paths import missing_paths
from flame_flwr.errors import ConfigError
from flame_flwr.log import logger, show
from flame_flwr.node.node_status import StatusFile
from flame_flwr.node.server_clock import ServerClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.flower_node_state import NodeAnswer, NodeMessage

__all__ = ["start"]

_UNKNOWN = (
    "the server does not know this node's key (any more), and the clocks agree: the node was "
    "unregistered there, or the server has another superlink.db. Once it is registered, with `sh "
    "register.sh` on the server, start the node again; systemd does that by itself"
)
_UNGATED = (
    "%s: Flower's own SuperNode is run, with rounds of about five seconds. There is no gate, no "
    "approval and no sandbox: rules act in the analyst's own process, whose code can skip them"
)
_INSTALLS = "--allow-runtime-dependency-installation"


def start(options: Sequence[str], preload: Sequence[str] = (), *, stock: bool = False) -> None:
    """Run a hospital's node until it ends.

    Parameters
    ----------
    options : sequence of str
        Those of ``flower-supernode``.
    preload : sequence of str
        Modules that apps need, imported once and not in every message.
    stock : bool
        Whether Flower's own program is run, as it is where the installed Flower is not known.

    Raises
    ------
    ConfigError
        The node config cannot be, or says that apps are to be approved and not where that is kept,
        or so where Flower's own program is run, which asks nobody.
    """
    try:
        _start(options, preload, stock=stock)
    except KeyboardInterrupt:  # before Flower's program takes it as the wish to end
        logger.warning("the node was stopped before it had started")
        raise


def _start(options: Sequence[str], preload: Sequence[str], *, stock: bool) -> None:
    show()
    settings = _settings(options)
    for path in missing_paths(settings):
        logger.warning("there is no %s, which this node's config names as its data", path)
    clock = ServerClock()
    from flame_flwr.node.approval import say_what_runs
    from flame_flwr.node.ledger_file import check_ledger, has_limits

    if why := _reason_for_stock(options, stock):
        if settings.approval == "required":
            raise ConfigError(
                f"{why}: then Flower's own SuperNode is run, which asks nobody whether an app may "
                'run, and this node runs approved apps only. approval="none" in the node config '
                "lets every app run"
            )
        if has_limits(settings):
            raise ConfigError(
                f"{why}: then Flower's own SuperNode is run, which counts no answers. Without "
                "`answers-per-day` and `epsilon-total`, here and in the registry, it may run"
            )
        logger.warning(_UNGATED, why)
        say_what_runs(settings)
        _note_start(settings, f"none, and no gate: Flower's own SuperNode is run ({why})")
        StatusFile(settings, clock, stock=True).write()
        _run_stock(options)
    from flame_flwr.node.linux import allow_inspection
    from flame_flwr.node.message_host import MessageHost

    say_what_runs(settings)
    check_ledger(settings)
    # The fork server first: nothing secret has been read yet, and no thread has been started.
    host = MessageHost(preload, clock, secrets=_files_in(options))
    allow_inspection(False)  # an app has the same user, and may not read keys
    sandbox = host.sandbox.announce(settings)
    _note_start(settings, sandbox)
    from flame_flwr.flower_node import run_supernode
    from flame_flwr.node.kept_states import KeptStates
    from flame_flwr.node.packed_messages import unpacking

    status = StatusFile(settings, clock, sandbox=sandbox)
    status.start()

    def answer(asked: NodeMessage) -> NodeAnswer:
        with status.answering(asked):
            return host.answer(asked)

    try:
        run_supernode(unpacking(answer), options, clock.note_reply, KeptStates.of(settings).keep)
    finally:
        host.close()
        status.stop()
        if clock.is_unknown:  # Flower ends as if it had been asked to
            logger.error("%s", _UNKNOWN)
            raise SystemExit(1)


def _settings(options: Sequence[str]) -> NodeSettings:
    from flame_flwr.clients.node_data import check_rules
    from flame_flwr.flower_node import node_config_of

    try:
        config = node_config_of(options)
    except Exception as error:
        raise ConfigError(f"--node-config cannot be read: {error}") from error
    settings = NodeSettings.from_config(config)
    try:
        check_rules(settings)
    except ConfigError as error:  # else every message of every study would meet it
        says = f". It says: {error.detail}" if error.detail else ""
        raise ConfigError(f"{error.message}{says}") from error
    return settings


def _note_start(settings: NodeSettings, sandbox: str) -> None:
    """Have the audit log say what holds for the answers below this line."""
    from flame_flwr.clients.audit import note_start

    try:
        note_start(settings, {"sandbox": sandbox, "approval": settings.approval})
    except ConfigError as error:
        logger.error("%s", error)


def _files_in(options: Sequence[str]) -> list[Path]:
    """Return the files that options name, such as the node's key and its config."""
    values = [option.rpartition("=")[2] for option in options]
    return [Path(value).absolute() for value in values if os.path.isfile(value)]


def _reason_for_stock(options: Sequence[str], stock: bool) -> str:
    if stock:
        return "--stock"
    if sys.platform != "linux":
        return f"{sys.platform} has not what forked messages need"
    if _INSTALLS in options:
        return f"{_INSTALLS} needs a new process for every message"
    from flame_flwr.flower_fingerprints import unknown_parts

    changed = unknown_parts()
    return f"this Flower differs from the known ones in {', '.join(changed)}" if changed else ""


def _run_stock(options: Sequence[str]) -> NoReturn:
    program = Path(sys.executable).with_name("flower-supernode")
    os.execv(program, [str(program), *options])  # noqa: S606  (of this Python)
