"""Asking nodes over a Flower ``Grid``: a simulation's, a SuperLink's, or one in this process."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from flame_flwr.errors import ConfigError
from flame_flwr.flower import messages_at_once, runtime
from flame_flwr.installed.versions import installed
from flame_flwr.polling import IDLE_AFTER, Polling
from flame_flwr.results.run_stage import RunStage
from flame_flwr.transport.arrivals import Arrivals, Sizes
from flame_flwr.transport.interface import Transport
from flame_flwr.transport.packing import PACKED, SINGLE
from flame_flwr.transport.presence import Presence
from flame_flwr.transport.ready_check import check_states, say_hello
from flame_flwr.transport.reconnecting import Reconnecting
from flame_flwr.transport.wait_for_replies import pull, push

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flwr.app import Message
    from flwr.serverapp import Grid

    from flame_flwr.config import RunSettings
    from flame_flwr.transport.greeting import Greeting

__all__ = ["GridTransport"]

_MARGIN = 30.0
"""Seconds that a message may have been on its way: a node may then be idle."""


class GridTransport(Transport):
    """Asks nodes over a Grid, and waits for them as long as the run config says.

    Parameters
    ----------
    grid : Grid
        Flower's.
    settings : RunSettings
        Which nodes to wait for, and how long.
    session : str
        The analysis's own id.
    after : dict of str to int, optional
        The nodes of an analysis that goes on, with the rounds they go on after.
    stage : RunStage, optional
        Is told who is waited for.
    """

    def __init__(
        self,
        grid: Grid,
        settings: RunSettings,
        session: str,
        after: Mapping[str, int] | None = None,
        *,
        stage: RunStage | None = None,
    ) -> None:
        super().__init__(session)
        self._grid = grid
        self._settings = settings
        self._after = after
        self._sizes = Sizes()
        self._polling = Polling()
        self._packing: dict[int, str] = {}
        self._signing: frozenset[str] = frozenset()
        self._stage = stage or RunStage()
        self._asked_at = -math.inf

    @property
    def grid(self) -> Grid:
        """Flower's Grid."""
        return self._grid

    def hello(self, *, reads_first: bool = False, secure: bool = False) -> list[Greeting]:
        """Wait for the expected nodes and ask each who it is; see :func:`say_hello`.

        Raises
        ------
        ConfigError
            The run is to ask for approval only, and the app's ServerApp is not one that does.
        """
        settings, self._asked_at = self._settings, time.monotonic()
        if settings.approval_within is not None:
            raise ConfigError("only the ServerApp of a StarModel can ask for approval alone")
        # An analysis goes on with the nodes that it was begun with, whatever `nodes` says now.
        if self._after is not None:
            settings = replace(settings, nodes=tuple(self._after))
        nodes = settings.nodes
        self._stage.expected = len(nodes) if isinstance(nodes, tuple) else nodes
        chosen = say_hello(
            self._grid,
            settings,
            self.session,
            reads_first=reads_first,
            secure=secure,
            stage=self._stage,
        )
        present = [greeting for greeting in chosen if greeting.failure is None]
        check_states(present, self._after or {}, resumable=bool(settings.checkpoint))
        self.take_part(present)
        self._packing = {each.address: _record_name(each) for each in present if each.packs}
        # Flower's own SuperNode is silent while it answers, for which nobody may call it gone.
        self._signing = frozenset(each.name for each in present if each.gated)
        return chosen

    def exchange(self, messages: Sequence[Message], what: str) -> Iterator[Message]:
        """Push messages and yield the replies as they come, one at a time where they are large."""
        names = self.names()
        reconnecting = self._reconnecting(messages, what)

        def lost() -> set[str]:
            return set() if reconnecting is None else reconnecting.lost

        # All others are pushed one by one, as those before them are answered.
        at_once = messages_at_once(self._grid) or len(messages)
        sent, refused = push(self._grid, messages[:at_once], what, self._packing)
        self.asked = {key: names[message.metadata.dst_node_id] for key, message in sent.items()}
        self._stage.asked = self.asked
        # One that answered at once the last time has had nothing to do ever since.
        before, self._asked_at = self._asked_at, time.monotonic()
        presence = Presence(
            self._grid,
            self.addresses,
            self._stage,
            lost,
            self._signing,
            idle=self._asked_at - before > IDLE_AFTER - _MARGIN,
        )
        # A refused message has no place in `sent`, and yet its node's failure must have a name.
        for message in refused:
            self.asked[message.metadata.message_id] = names[message.metadata.dst_node_id]
        return pull(
            self._grid,
            sent,
            timeout=self._settings.round_timeout,
            what=what,
            arrivals=Arrivals(self._grid, self._settings.max_answer_bytes, self._sizes),
            names=self.asked,
            reconnecting=reconnecting,
            refused=refused,
            later={names[each.metadata.dst_node_id]: each for each in messages[at_once:]},
            polling=self._polling,
            look=presence.look,
        )

    def _reconnecting(self, messages: Sequence[Message], what: str) -> Reconnecting | None:
        if self._settings.on_failure != "wait" or runtime() == "process":
            return None
        return Reconnecting(self._grid, self.addresses, messages, self.session, what)


def _record_name(greeting: Greeting) -> str:
    """Return what the one record of a small message is called on its way to a node."""
    # To leave objects of a message out, one must know which Flower makes: those of our version.
    same_flower = greeting.versions.get("flwr") == installed()["flwr"]
    return SINGLE if greeting.gated and same_flower else PACKED
