"""The ready check: wait for the expected nodes, ask each who it is, fix ids and order."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from flame_flwr.errors import ConfigError, NodeFailedError, NodesMissingError
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import online_nodes
from flame_flwr.flower_objects import is_remote
from flame_flwr.log import logger
from flame_flwr.polling import Polling
from flame_flwr.text.natural_order import natural_order
from flame_flwr.transport.arrivals import Arrivals
from flame_flwr.transport.clocks import warn_of_clocks
from flame_flwr.transport.compatibility import warn_of_versions
from flame_flwr.transport.greeting import Greeting, parse_hello, send_hello
from flame_flwr.transport.hello_findings import failed_nodes, refusal, show_table
from flame_flwr.transport.registered import named_by_key, to_be_asked
from flame_flwr.transport.wait_for_replies import counted, pull, shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from flwr.serverapp import Grid

    from flame_flwr.config import RunSettings
    from flame_flwr.flower import OnlineNode
    from flame_flwr.results.run_stage import RunStage

__all__ = ["check_states", "say_hello"]

_SAY_EVERY = 15.0
"""Seconds between two lines of the log about who is still missing."""

_TWICE = (
    "two nodes have the name {!r}: give each its own `name` in its node config; "
    "if one was just killed and started again, try again in a minute"
)

_UNGATED = (
    "`require-gate` is set in the run config, and this node runs Flower's own SuperNode, where "
    "rules, filters and audit log are within the analysis's reach: the hospital starts it with "
    "`flame-flwr node start` and without --stock"
)


def say_hello(
    grid: Grid,
    settings: RunSettings,
    session: str = "",
    *,
    reads_first: bool = False,
    secure: bool = False,
    stage: RunStage | None = None,
) -> list[Greeting]:
    """Wait for the expected nodes and return their greetings in participant order.

    With ``skip``, those that cannot take part are among them, with their failures.

    Flower starts a ServerApp before its nodes are registered, so every run begins here.

    Parameters
    ----------
    grid : Grid
        Flower's.
    settings : RunSettings
        Which nodes to wait for, and how long.
    session : str
        The analysis's own id, under which nodes keep their analyzers; empty to keep nothing.
    reads_first : bool
        Whether nodes read their data before they answer. That takes as long as in a round, so
        those that are there have ``round-timeout`` for it; ``node-timeout`` is for the others.
    secure : bool
        Whether nodes are asked for their keys for secure sums.
    stage : RunStage, optional
        Is told who is there and who is missing.

    Raises
    ------
    NodesMissingError
        Fewer nodes than expected within ``node-timeout``.
    NodeFailedError
        A node cannot take part: its config, its data, its version.
    ConfigError
        Two nodes with one name, or a deployment without `nodes`.
    """
    greeted: dict[int, Greeting] = {}
    gone: set[int] = set()
    seen: dict[int, OnlineNode] = {}
    wanted = settings.nodes if isinstance(settings.nodes, tuple) else None
    started = spoke = time.monotonic()
    limit = settings.node_timeout
    within = settings.round_timeout if reads_first else 1.0
    polling = Polling(first=0.02, most=1.0)  # a simulation's nodes are there within a moment
    while True:
        left = started + limit - time.monotonic()
        online = online_nodes(grid)
        seen |= online  # a name that a key has is no other node's, even while its node is away
        # Started again without a key, a node is there a second time: the first must not count, too.
        for address in greeted.keys() - online.keys():
            logger.info("hello: node %s has gone again", greeted.pop(address).name)
        new = to_be_asked([each for each in online if each not in greeted], online, wanted)
        if new:
            sent = send_hello(grid, new, session, secure=secure)
            for reply in pull(
                grid,
                sent,
                # whoever is there at the last moment still has a second for its answer
                timeout=max(left, within),
                what="hello",
                arrivals=Arrivals(grid),
                missing=lambda: _expected(greeted.values(), settings),
            ):
                asked = sent[reply.metadata.reply_to_message_id]
                greeting = parse_hello(asked, reply, reads_first=reads_first)
                if greeting is None:
                    _say_gone(asked.metadata.dst_node_id, gone)
                else:
                    polling.note_news()
                    if is_remote(grid):  # only a simulation has partitions that are its nodes
                        greeting = replace(greeting, partitions=0)
                    greeted[greeting.address] = _checked(greeting, seen, settings)
        if stage is not None:
            stage.here = tuple(each.name for each in greeted.values() if each.failure is None)
            stage.missing = tuple(_expected(greeted.values(), settings))
        state = _still_missing(list(greeted.values()), settings)
        if not state:
            return _participants(greeted.values(), settings)
        waited = time.monotonic() - started
        state = f"{state}, {waited:.0f} s of {limit:.0f} s"
        if left <= 0:
            raise NodesMissingError(
                f"waited for {state}: start the missing nodes, or set `nodes` in the run config"
                + _failures(_meant(list(greeted.values()), settings.nodes))
            )
        if time.monotonic() - spoke > _SAY_EVERY:
            spoke = time.monotonic()
            logger.info("waiting for %s", state)
        polling.sleep(left)


def check_states(
    greetings: Iterable[Greeting], after: Mapping[str, int], *, resumable: bool
) -> None:
    """See that every node still has the analyzer that it goes on with.

    Parameters
    ----------
    greetings : iterable of Greeting
        The greetings of the nodes that take part.
    after : dict of str to int
        The rounds that they go on after; empty for an analysis that begins.
    resumable : bool
        Whether another run may have to go on with the analysis: a warning names the nodes that
        keep nothing for it.

    Raises
    ------
    NodeFailedError
        A node has it no more.
    """
    forgetful, lines = [], []
    for greeting in greetings:
        round_before = after.get(greeting.name, 0)
        if round_before and round_before not in greeting.states:
            why = _why_lost(greeting, round_before)
            lines.append(f"  {greeting.name}: no analyzer of round {round_before}; {why}")
        if resumable and not greeting.keeps_state and not greeting.partitions:
            forgetful.append(greeting.name)
    if lines:
        text = "\n".join(lines)
        raise NodeFailedError(
            f"the analysis cannot go on: {counted(len(lines))} lost their part of it:\n{text}\n"
            "Start it anew, without resume and with another `checkpoint`"
        )
    if forgetful:
        logger.warning(
            "these nodes have no `state-dir`, so the analysis could not be resumed after a round: "
            "%s",
            shortened(forgetful),
        )


def _say_gone(address: int, gone: set[int]) -> None:
    """Log that a node has gone, once: it may say so itself, each time that it is asked."""
    if address not in gone:
        logger.info("hello: node %d has gone, so it does not count", address)
    gone.add(address)


def _checked(greeting: Greeting, seen: Mapping[int, OnlineNode], settings: RunSettings) -> Greeting:
    """Return a greeting, as a failure where the node says another's name, or lacks a gate."""
    greeting = named_by_key(greeting, seen)
    if not settings.require_gate or greeting.gated or greeting.partitions or greeting.failure:
        return greeting
    failure = Failure("ungated", text=_UNGATED)
    return replace(greeting, failure=failure)


def _expected(greeted: Iterable[Greeting], settings: RunSettings) -> list[str]:
    """Return the names that are still missing, where the run config has names."""
    here = {greeting.name for greeting in greeted}
    nodes = settings.nodes if isinstance(settings.nodes, tuple) else ()
    return [name for name in nodes if name not in here]


def _why_lost(greeting: Greeting, round_before: int) -> str:
    if not greeting.keeps_state:
        return "it has no `state-dir`"
    if not greeting.states:
        return "its `state-dir` was cleaned"
    kept = " and ".join(map(str, greeting.states))
    which = "older" if min(greeting.states) > round_before else "another's"
    return f"it has that of round {kept}: the checkpoint is {which}"


def _still_missing(greeted: list[Greeting], settings: RunSettings) -> str:
    """Say how many nodes are missing, and which; '' where waiting is at its end."""
    nodes = settings.nodes
    # A simulation's nodes come one by one within a moment, and those that fail are named together.
    simulated = max((greeting.partitions for greeting in greeted), default=0)
    failed = any(greeting.failure for greeting in _meant(greeted, nodes))
    if failed and not simulated and settings.on_failure != "skip":
        return ""
    if isinstance(nodes, tuple):
        missing = _expected(greeted, settings)
        if not missing:
            return ""
        return f"{len(missing)} of {len(nodes)} nodes: missing {', '.join(missing)}"
    if nodes > simulated > 0:
        raise NodesMissingError(
            f"the run config waits for {nodes} nodes and the simulation has {simulated}: "
            f"say --simulate {nodes} to `flame-flwr submit`, or --federation-config "
            f'"num-supernodes={nodes}" to `flwr run`'
        )
    expected = max(nodes, simulated)
    if not expected and any(not greeting.failure for greeting in greeted):
        raise ConfigError("set `nodes` in the run config: how many nodes to wait for, or names")
    if greeted and len(greeted) >= expected:
        return ""
    there = ", ".join(sorted((g.name for g in greeted), key=natural_order)) or "none"
    return f"{max(expected, 1) - len(greeted)} of {max(expected, 1)} nodes (there: {there})"


def _failures(greeted: Iterable[Greeting]) -> str:
    failed = sorted(f"\n  {each.name}: {each.failure}" for each in greeted if each.failure)
    return "".join(["\nThese were there and cannot take part:", *failed] if failed else [])


def _without_twice(chosen: list[Greeting], settings: RunSettings) -> list[Greeting]:
    """Return the greetings; where two nodes say one name, both have failed: nobody can tell them.

    Raises
    ------
    ConfigError
        There are such, and ``on-failure`` is not ``skip``.
    """
    twice = [name for name, count in Counter(g.name for g in chosen).items() if count > 1]
    if twice and settings.on_failure != "skip":
        raise ConfigError(_TWICE.format(twice[0]))
    return [
        replace(each, failure=Failure("a name of two", text=_TWICE.format(each.name)))
        if each.name in twice
        else each
        for each in chosen
    ]


def _participants(greeted: Collection[Greeting], settings: RunSettings) -> list[Greeting]:
    chosen = _meant(list(greeted), settings.nodes)
    chosen.sort(key=lambda greeting: natural_order(greeting.name))
    chosen = _without_twice(chosen, settings)
    failed = [greeting for greeting in chosen if greeting.failure]
    if settings.tag_list() or failed or any(g.findings is not None for g in chosen):
        show_table(chosen)
    if failed:
        left = len(chosen) - len(failed)
        if settings.on_failure != "skip" or left < min(settings.min_nodes, len(chosen)):
            silent = _expected(greeted, settings) if any(map(_unnamed, failed)) else []
            raise refusal(chosen, f"\nnot heard of: {shortened(silent)}" if silent else "")
        logger.warning("going on without:\n%s", failed_nodes(failed))
    warn_of_versions({greeting.name: greeting.versions for greeting in chosen})
    warn_of_clocks({greeting.name: greeting.clock for greeting in chosen})
    return chosen


def _meant(greeted: list[Greeting], nodes: int | tuple[str, ...]) -> list[Greeting]:
    """Return the expected nodes; one that failed before it said its name may be one of them."""
    if not isinstance(nodes, tuple):
        return list(greeted)
    complete = {greeting.name for greeting in greeted} >= set(nodes)
    return [g for g in greeted if g.name in nodes or (not complete and _unnamed(g))]


def _unnamed(greeting: Greeting) -> bool:
    return greeting.failure is not None and greeting.name == str(greeting.address)
