"""The file of a node's ledger, ``ledger.json`` in its ``gate`` folder: counted before it leaves.

No analysis's process sees it. It is written whole, by one process at a time. What stands beside it,
``ledger.begun``, tells a ledger that somebody has removed from one that was never begun.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from flame_flwr.clients.node_data import datasets_of, registered
from flame_flwr.config import NodeSettings, RunSettings
from flame_flwr.errors import ConfigError
from flame_flwr.files import reason_of, write_whole
from flame_flwr.log import logger
from flame_flwr.node.gate_folder import GateFolder
from flame_flwr.privacy.ledger import Ledger, LedgerLimits
from flame_flwr.text.textfiles import decode_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flwr.app import Context

    from flame_flwr.data.registry import Dataset
    from flame_flwr.privacy.answer_cost import Cost

__all__ = [
    "DATA",
    "NodeLedger",
    "begin_ledger",
    "check_ledger",
    "has_limits",
    "limits_of",
    "read_ledger",
    "today",
    "trouble_with_ledger",
]

DATA = "data"
"""The name of what `data` in a node's config names, which has none."""

_FILE, _BEGUN = "ledger.json", "ledger.begun"
_NOWHERE = (
    "`answers-per-day` and `epsilon-total` need a ledger, and this node has no folder for one: set "
    "`state-dir` in its config"
)
_MEND = (
    "no answer leaves until it is mended: put it back from a backup, or begin a new one, which "
    "forgets what has left, with `flame-flwr node ledger --begin`"
)


class NodeLedger:
    """What a node's ledger does with the answer to one message.

    Parameters
    ----------
    context : Context
        Of the node and run.
    project : str
        As the approval says; empty where the node asks for none.
    """

    def __init__(self, context: Context, project: str) -> None:
        self._context = context
        self._project = project

    def check(self) -> None:
        """See, before the analysis runs, that its answer may leave.

        Raises
        ------
        ConfigError
            The ledger cannot be read.
        NodeFailedError
            A limit is reached.
        """
        if self._is_kept():
            read_ledger(self._settings).check(self._limits, today())

    def charge(self, cost: Cost) -> None:
        """Count an answer; it is on the disk before this returns.

        Raises
        ------
        ConfigError
            The ledger cannot be read or written.
        NodeFailedError
            A limit is reached, or the answer costs more than is left.
        """
        if not self._is_kept():
            return
        folder = GateFolder(self._settings.state_dir)
        try:
            # Read under the lock: `node ledger --begin` may write another just now.
            with folder.locked():
                ledger, day = _read(folder), today()
                ledger.check(self._limits, day)
                ledger.check_cost(self._limits, cost)
                _write(folder, ledger.with_answer(self._limits, self._project, cost, day))
        except OSError as error:
            raise ConfigError(
                f"{reason_of(error)}: the node's ledger cannot be written, and without it no "
                "answer leaves this node",
                detail=str(error),
            ) from error

    def _is_kept(self) -> bool:
        """Tell whether this node has a ledger: one without approvals need not."""
        if not self._settings.state_dir and any(map(LedgerLimits.any, self._limits.values())):
            raise ConfigError(_NOWHERE)
        return bool(self._settings.state_dir)

    @cached_property
    def _settings(self) -> NodeSettings:
        return NodeSettings.from_config(self._context.node_config)

    @cached_property
    def _limits(self) -> Mapping[str, LedgerLimits]:
        return limits_of(
            self._settings,
            datasets_of(self._settings, RunSettings.from_config(self._context.run_config)),
        )


def limits_of(settings: NodeSettings, datasets: list[Dataset]) -> dict[str, LedgerLimits]:
    """Return how much may leave of datasets, by name: what the registry says goes first.

    Of a node without a registry it is what its `data` names; so it is of a run that finds nothing
    in the registry, as an answer is counted in any case.
    """
    node = LedgerLimits(settings.answers_per_day, settings.epsilon_total)
    return {
        each.name: LedgerLimits(
            each.options.get("answers-per-day", node.answers_per_day),
            float(each.options.get("epsilon-total", node.epsilon_total)),
        )
        for each in datasets
    } or {DATA: node}


def check_ledger(settings: NodeSettings) -> None:
    """See, when a node starts, that it can count its answers; say so in its log if not.

    Raises
    ------
    ConfigError
        Answers are to be limited, and there is no folder for the ledger.
    """
    if not settings.state_dir:
        if has_limits(settings):
            raise ConfigError(_NOWHERE)
        return
    if why := trouble_with_ledger(settings):
        logger.error("no answer leaves: %s", why)


def has_limits(settings: NodeSettings) -> bool:
    """Tell whether a node's config or its registry limits what may leave."""
    limits = limits_of(settings, registered(settings)).values()
    return any(map(LedgerLimits.any, limits))


def trouble_with_ledger(settings: NodeSettings) -> str:
    """Say why answers cannot be counted, so that none leaves; empty where they can."""
    if settings.state_dir:
        try:
            read_ledger(settings)
        except ConfigError as error:
            return str(error)
    return ""


def read_ledger(settings: NodeSettings) -> Ledger:
    """Return a node's ledger; an empty one where it was never begun.

    Raises
    ------
    ConfigError
        It cannot be read, is damaged or was removed, or others may have written it.
    """
    return _read(GateFolder(settings.state_dir))


def begin_ledger(settings: NodeSettings) -> str:
    """Begin a new ledger in the place of one that is damaged or missing.

    Returns
    -------
    str
        The name under which the damaged one is kept; empty where there is none.

    Raises
    ------
    ConfigError
        The present one is sound.
    OSError
        The new one cannot be written.
    """
    folder, kept = GateFolder(settings.state_dir), ""
    with folder.locked():
        try:
            _read(folder)
        except ConfigError:
            path = folder.path / _FILE
            if os.path.lexists(path):
                kept = f"{_FILE}.{datetime.now(UTC):%Y%m%d-%H%M%S}"
                os.replace(path, folder.path / kept)
            _write(folder, Ledger())
            return kept
    raise ConfigError("the node's ledger is sound: there is nothing to begin anew")


def today() -> str:
    """Return the day of UTC."""
    return datetime.now(UTC).date().isoformat()


def _read(folder: GateFolder) -> Ledger:
    try:
        content = folder.read(_FILE)
    except FileNotFoundError as error:
        if not os.path.lexists(folder.path / _BEGUN):
            return Ledger()
        raise ConfigError(f"the node's ledger was removed; {_MEND}") from error
    except OSError as error:
        raise ConfigError(
            f"{reason_of(error)}: the node's ledger cannot be read; {_MEND}", detail=str(error)
        ) from error
    try:
        return Ledger.parse(decode_text(content))
    except ValueError as error:  # a ConfigError, too
        raise ConfigError(
            f"the node's ledger is damaged; {_MEND}", detail=f"{folder.path / _FILE}: {error}"
        ) from error


def _write(folder: GateFolder, ledger: Ledger) -> None:
    """Write the ledger first: a node that ends in between has begun none, or has both."""
    write_whole(folder.path / _FILE, [ledger.text().encode()])
    if not os.path.lexists(folder.path / _BEGUN):
        write_whole(folder.path / _BEGUN, [f"{today()}\n".encode()])
