"""Which of the nodes that are asked are not online: for who looks on, and for nothing else.

What is done about a node that is gone is decided elsewhere, by what Flower answers in its place.
The SuperLink knows at once of a SuperNode that was stopped, and after a minute of one that was
killed or whose machine is gone: that is how long it waits for a sign.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flame_flwr.flower import online_nodes
from flame_flwr.flower_objects import is_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flwr.serverapp import Grid

    from flame_flwr.results.run_stage import RunStage

__all__ = ["Presence"]

_LOOK_EVERY = 2.0


class Presence:
    """Says in a run's stage which nodes have gone.

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
    now : callable
        A clock, in seconds.
    """

    def __init__(
        self,
        grid: Grid,
        addresses: Mapping[str, int],
        stage: RunStage,
        lost: Callable[[], Iterable[str]] = tuple,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._grid = grid
        self._addresses = addresses
        self._stage = stage
        self._lost = lost
        self._now = now
        self._remote = is_remote(grid)
        self._looked = now()

    def look(self) -> None:
        """Ask the SuperLink, but not all the time."""
        if not self._remote or self._now() - self._looked < _LOOK_EVERY:
            return
        self._looked = self._now()
        try:
            online = online_nodes(self._grid)
        except Exception:  # whoever waits for replies will find out, and says what it means
            return
        gone = dict.fromkeys(self._lost(), "its process has ended")
        offline = [name for name, address in self._addresses.items() if address not in online]
        self._stage.gone = gone | dict.fromkeys(offline, "its SuperNode is not online")
