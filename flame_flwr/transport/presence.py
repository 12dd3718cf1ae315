"""Which of the nodes that are asked are not online: shown to whoever watches the run, no more.

What is done about a node that is gone is decided elsewhere, by what Flower answers in its place.
The SuperLink knows at once of a SuperNode that was stopped, and after a minute of one that was
killed or whose machine is gone: that is how long it waits for a sign. Our own nodes give one every
second while they answer a message, so that their silence is seen here within seconds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flame_flwr.flower import SIGN_EVERY, online_nodes
from flame_flwr.flower_objects import is_remote
from flame_flwr.polling import IDLE_WAIT

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from flwr.serverapp import Grid

    from flame_flwr.flower import OnlineNode
    from flame_flwr.results.run_stage import RunStage

__all__ = ["Presence"]

_LOOK_EVERY, _PER_NODE = 0.5, 0.01
"""Seconds between two looks, and how many more with every node: each is asked for in the answer."""

_SILENT = 2.5 * SIGN_EVERY
"""Seconds without a sign after which a node counts as silent: one sign may be late, two are not."""

_BEGINS = 0.5
"""Seconds after which a node that was asked has begun, unless it was idle for long."""


class Presence:
    """Says in a run's stage which nodes have gone, and which are silent.

    Parameters
    ----------
    grid : Grid
        Flower's. Only one over a network is asked: elsewhere no node goes.
    addresses : mapping of str to int
        The nodes' addresses by name.
    stage : RunStage
        What the run does.
    lost : callable
        Returns the nodes that are gone as Flower's answers in their place say.
    signing : container of str
        The nodes that give a sign of life every second while they answer a message.
    now : callable
        A clock, in seconds.
    idle : bool
        Whether nodes may have had nothing to do for so long that they seldom ask for work.
    """

    def __init__(
        self,
        grid: Grid,
        addresses: Mapping[str, int],
        stage: RunStage,
        lost: Callable[[], Iterable[str]] = tuple,
        signing: Container[str] = (),
        now: Callable[[], float] = time.monotonic,
        *,
        idle: bool = False,
    ) -> None:
        self._grid = grid
        self._addresses = addresses
        self._stage = stage
        self._lost = lost
        self._signing = signing
        self._now = now
        self._remote = is_remote(grid)
        self._begins = IDLE_WAIT if idle else _BEGINS
        self._looked = now()
        self._every = _LOOK_EVERY + _PER_NODE * len(addresses)
        self._until: dict[str, float] = {}
        self._signed_at: dict[str, float] = {}

    def look(self) -> None:
        """Ask the SuperLink, if the last look was long enough ago."""
        if not self._remote or self._now() - self._looked < self._every:
            return
        self._looked = self._now()
        try:
            online = online_nodes(self._grid)
        except Exception:  # whoever waits for replies will find out, and says what it means
            return
        gone = dict.fromkeys(self._lost(), "its process has ended")
        offline = [name for name, address in self._addresses.items() if address not in online]
        self._stage.gone = gone | dict.fromkeys(offline, "its SuperNode is not online")
        self._listen(online)

    def _listen(self, online: Mapping[int, OnlineNode]) -> None:
        """Note who has given a sign since the last look, and who has not for too long."""
        silent = []
        asked = None if self._stage.asked is None else set(self._stage.asked.values())
        for name, address in self._addresses.items():
            if name not in self._signing or address not in online:
                continue
            if asked is not None and name not in asked:
                continue
            until = online[address].until
            # A sign is seen by this time having changed: it is of the SuperLink's clock, not ours.
            if name not in self._until:  # it has just been asked, and may not have begun
                self._until[name], self._signed_at[name] = until, self._looked + self._begins
            elif self._until[name] != until:
                self._until[name], self._signed_at[name] = until, self._looked
                self._stage.signs[name] = time.time()
            if self._looked - self._signed_at[name] > _SILENT:
                silent.append(name)
        self._stage.silent = tuple(silent)
