"""Asking nodes whether their hospitals have approved the app, and nothing else.

A node keeps an app that it was sent and that is not approved, so that somebody at the hospital can
look at it. So to ask for approval is to send the app there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flame_flwr.flower import online_nodes
from flame_flwr.log import logger
from flame_flwr.results.followed_lines import ApprovalLine
from flame_flwr.transport.arrivals import Arrivals
from flame_flwr.transport.greeting import parse_hello, send_hello
from flame_flwr.transport.registered import named_by_key, to_be_asked
from flame_flwr.transport.wait_for_replies import pull

if TYPE_CHECKING:
    from flwr.serverapp import Grid

    from flame_flwr.config import RunSettings
    from flame_flwr.transport.greeting import Greeting

__all__ = ["ask_for_approval"]

_SOON, _GROWTH, _LATE = 2.0, 1.3, 60.0
"""Seconds after which a node is asked again, but for the growth: a decision may take a week."""

_PAUSE = 0.5
_ANSWER_LIMIT = 120.0


def ask_for_approval(grid: Grid, settings: RunSettings) -> dict[str, str]:
    """Ask all expected nodes, and again where there is time for it, until all have approved.

    Parameters
    ----------
    grid : Grid
        Flower's.
    settings : RunSettings
        ``approval_within`` says how long the hospitals have; 0 asks once. Nodes that are not there
        are waited for as long, and at least for ``node-timeout``.

    Returns
    -------
    dict of str to str
        By node: ``given``, or in one word why not; ``missing`` where it was not there.
    """
    asking = _Asking(grid, settings)
    patience = settings.approval_within or 0.0
    # Nodes that are there have the time that the hospitals were given; for those that are not,
    # there is `node-timeout` at least, as they may still be starting.
    started = time.monotonic()
    while True:
        asking.ask()
        waited = time.monotonic() - started
        states = asking.states()
        if not asking.is_complete():
            over = waited > max(patience, settings.node_timeout)
        else:
            over = waited >= patience or set(states.values()) == {"given"}
        if over:
            break
        time.sleep(_PAUSE)
    for name, state in states.items():
        if state == "missing":
            logger.info("%s", ApprovalLine(state, name))
    given = sum(state == "given" for state in states.values())
    logger.info("%d of %d nodes have approved this app", given, len(states))
    return states


class _Asking:
    """Who was asked, when, and what each of them said last."""

    def __init__(self, grid: Grid, settings: RunSettings) -> None:
        self._grid = grid
        self._nodes = settings.nodes
        self._greetings: dict[int, Greeting] = {}
        self._asked: dict[int, float] = {}
        self._again = _SOON
        self._said: dict[str, str] = {}

    def ask(self) -> None:
        """Say hello to the nodes that are due, and log what is new."""
        online, now = online_nodes(self._grid), time.monotonic()
        wanted = self._nodes if isinstance(self._nodes, tuple) else None
        # One that has gone is asked anew when it is back: its config may be another then.
        self._greetings = {key: each for key, each in self._greetings.items() if key in online}
        due = [
            address
            for address in to_be_asked(sorted(online), online, wanted)
            if address not in self._greetings  # only a refusal may change; an approval stands
            or (self._greetings[address].failure and now - self._asked[address] > self._again)
        ]
        if not due:
            return
        sent = send_hello(self._grid, due, "")  # no session, so that nothing is kept of it there
        self._asked |= dict.fromkeys(due, now)
        self._again = min(self._again * _GROWTH, _LATE)
        arrivals = Arrivals(self._grid)
        for reply in pull(self._grid, sent, timeout=_ANSWER_LIMIT, what="hello", arrivals=arrivals):
            greeting = parse_hello(sent[reply.metadata.reply_to_message_id], reply)
            if greeting is not None:
                self._greetings[greeting.address] = named_by_key(greeting, online)
        self._log()

    def states(self) -> dict[str, str]:
        """Return what each node says, also of expected ones that are not there."""
        said = {greeting.name: _state(greeting) for greeting in self._meant()}
        if isinstance(self._nodes, tuple):
            return {name: said.get(name, "missing") for name in self._nodes}
        absent = range(len(said) + 1, self._nodes + 1)
        return said | {f"node {number} of {self._nodes}": "missing" for number in absent}

    def is_complete(self) -> bool:
        """Tell whether every expected node has said something."""
        states = self.states()
        return bool(states) and "missing" not in states.values()

    def _meant(self) -> list[Greeting]:
        greetings = sorted(self._greetings.values(), key=lambda greeting: greeting.name)
        if not isinstance(self._nodes, tuple):
            return greetings
        return [greeting for greeting in greetings if greeting.name in self._nodes]

    def _log(self) -> None:
        for greeting in self._meant():
            state = _state(greeting)
            if self._said.get(greeting.name) != state:
                self._said[greeting.name] = state
                logger.info("%s", ApprovalLine(state, greeting.name))
                if greeting.failure is not None:
                    logger.info("  %s", greeting.failure)


def _state(greeting: Greeting) -> str:
    if greeting.failure is None:
        return "given"
    return greeting.approval or "failed"
