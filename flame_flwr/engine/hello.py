"""The ready check: wait for the expected nodes, ask each who it is, fix ids and order."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord, Message, RecordDict

from flame_flwr import __version__
from flame_flwr.engine.compatibility import must_upgrade, read_versions, warn_of_versions
from flame_flwr.engine.exchange import NO_ANSWER, Backoff, counted, pull, push, shortened
from flame_flwr.engine.failure import Failure
from flame_flwr.engine.participation import failure_of, read_findings, show_table
from flame_flwr.errors import ConfigError, NodeFailedError, NodesMissingError
from flame_flwr.flower import HELLO, OFFLINE
from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.log import logger
from flame_flwr.payload import WIRE_VERSION

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from flwr.serverapp import Grid

    from flame_flwr.config import RunSettings
    from flame_flwr.data.expect import Finding
    from flame_flwr.engine.participation import Line

__all__ = ["Greeting", "ask", "check_states", "heard", "natural_order", "say_hello"]

_SAY_EVERY = 15.0
_LONGEST_NAME = 200
_STARTING = (
    "this node is connected and has not said its name yet. Its log says whether it is still "
    "starting, or looking for its data: raise `node-timeout` in the run config if it needs longer"
)
_READING = (
    "this node is connected and has not said its name yet. It reads its data first, for the look "
    "at what the analysis expects of it: raise `round-timeout` in the run config if that takes "
    "longer; its log says more"
)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a node said at hello.

    Parameters
    ----------
    address : int
        Flower's node id.
    name : str
        The node's id in the analysis.
    evaluates : bool
        Whether its analyzer has an ``evaluation_method``.
    partitions : int
        How many nodes its simulation has; 0 on a deployment.
    failure : Failure or None
        Why it cannot take part.
    keeps_state : bool
        Whether its analyzer outlives its SuperNode.
    states : tuple of int
        The rounds after which it has kept this analysis's analyzer on disk.
    findings : tuple of Finding or None
        What is not as expected of its data; ``None`` where the analysis expects nothing.
    versions : mapping of str to str
        What it runs, by package; empty of a node that does not say.
    """

    address: int
    name: str
    evaluates: bool = False
    partitions: int = 0
    failure: Failure | None = None
    keeps_state: bool = False
    states: tuple[int, ...] = ()
    findings: tuple[Finding, ...] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


def say_hello(
    grid: Grid, settings: RunSettings, session: str = "", *, reads_first: bool = False
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
    started = spoke = time.monotonic()
    limit = settings.node_timeout
    within = settings.round_timeout if reads_first else 1.0
    backoff = Backoff(0.02, 1.0)
    while True:
        left = started + limit - time.monotonic()
        online = list(grid.get_node_ids())
        for address in greeted.keys() - set(online):
            logger.info("hello: node %s has gone again", greeted.pop(address).name)
        new = [address for address in online if address not in greeted]
        if new:
            sent = ask(grid, new, session)
            for reply in pull(
                grid,
                sent,
                timeout=max(left, within),
                largest=lambda: 1,
                what="hello",
                missing=lambda: _expected(greeted.values(), settings),
            ):
                asked = sent[reply.metadata.reply_to_message_id]
                greeting = heard(asked, reply, reads_first=reads_first)
                if greeting is not None:
                    greeted[greeting.address] = greeting
            backoff.reset()
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
        backoff.sleep(left)


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts ``node-2`` before ``node-10``.

    Parts are compared by kind first (digits before text), so that any two names compare.
    """
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


def ask(grid: Grid, addresses: Iterable[int], session: str) -> dict[str, Message]:
    """Send hello to nodes; return the messages by the ids that answers name.

    Parameters
    ----------
    grid : Grid
        Flower's.
    addresses : iterable of int
        Flower's ids of the nodes.
    session : str
        The analysis's own id.
    """
    config = ConfigRecord({"wire": WIRE_VERSION, "framework": __version__, "session": session})
    messages = [
        Message(RecordDict({"getpropertiesins.config": config}), address, HELLO)
        for address in addresses
    ]
    sent, _ = push(grid, messages, "hello")  # who is refused has gone again, and may return
    return sent


def heard(asked: Message, reply: Message, *, reads_first: bool = False) -> Greeting | None:
    """Return what a node said; ``None`` of one that has gone.

    A node that was restarted without a key is there once more, under another address.

    Parameters
    ----------
    asked, reply : Message
        The hello, and its answer.
    reads_first : bool
        As for :func:`say_hello`.
    """
    address = asked.metadata.dst_node_id
    if reply.has_error() and reply.error.code == OFFLINE:
        logger.info("hello: node %d has gone, so it does not count", address)
        return None
    if reply.has_error() and reply.error.code == NO_ANSWER:
        text = f"{reply.error.reason}: {_READING if reads_first else _STARTING}"
        return Greeting(address, str(address), failure=Failure("no hello", text=text))
    return _greeting(address, reply)


def _greeting(address: int, reply: Message) -> Greeting:
    if reply.has_error():
        failure = Failure.of_flower("no hello", str(reply.error.reason))
        return Greeting(address, str(address), failure=failure)
    said: dict[str, Any] = dict(reply.content["getpropertiesres.properties"])
    name = str(said.get("name", "")) or str(address)
    partitions = said.get("partitions")
    partitions = partitions if isinstance(partitions, int) else 0
    if "failure" in said:
        failure = Failure.from_json(said["failure"])
        return Greeting(address, name, partitions=partitions, failure=failure)
    if len(name) > _LONGEST_NAME or not name.isprintable() or name == AGGREGATOR_ID:
        text = f"a node's name is printable, of at most {_LONGEST_NAME} characters, and not "
        failure = Failure("a wrong name", text=text + f"{AGGREGATOR_ID!r}")
        return Greeting(address, str(address), partitions=partitions, failure=failure)
    text = must_upgrade(said.get("wire"), str(said.get("framework", "")))
    if text:
        return Greeting(address, name, failure=Failure("versions differ", text=text))
    findings = read_findings(said.get("findings"))
    return Greeting(
        address,
        name,
        bool(said.get("evaluates")),
        partitions,
        failure=failure_of(findings or ()),
        findings=findings,
        keeps_state=bool(said.get("keeps-state")),
        states=_numbers(said.get("states")),
        versions=read_versions(said.get("versions")),
    )


def check_states(
    greetings: Iterable[Greeting], after: Mapping[str, int], *, resumable: bool
) -> None:
    """See that every node still has the analyzer that it goes on with.

    Parameters
    ----------
    greetings : iterable of Greeting
        Of the nodes that take part.
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


def _numbers(text: object) -> tuple[int, ...]:
    try:
        numbers = json.loads(text) if isinstance(text, str) else []
    except ValueError:
        return ()
    listed = numbers if isinstance(numbers, list) else []
    return tuple(number for number in listed if isinstance(number, int))


def _still_missing(greeted: list[Greeting], settings: RunSettings) -> str:
    """Say how many nodes are missing, and which; '' where waiting is at its end."""
    nodes = settings.nodes
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


def _participants(greeted: Collection[Greeting], settings: RunSettings) -> list[Greeting]:
    chosen = _meant(list(greeted), settings.nodes)
    chosen.sort(key=lambda greeting: natural_order(greeting.name))
    twice = [name for name, count in Counter(g.name for g in chosen).items() if count > 1]
    if twice:
        raise ConfigError(
            f"two nodes have the name {twice[0]!r}: give each its own `name` in its node config; "
            "if one was just killed and started again, try again in a minute"
        )
    failed = [greeting for greeting in chosen if greeting.failure]
    if settings.tag_list() or failed or any(g.findings is not None for g in chosen):
        show_table(map(_line, chosen))
    if failed:
        lines = "\n".join(f"  {greeting.name}: {greeting.failure}" for greeting in failed)
        left = len(chosen) - len(failed)
        if settings.on_failure != "skip" or left < min(settings.min_nodes, len(chosen)):
            silent = _expected(greeted, settings) if any(map(_unnamed, failed)) else []
            absent = f"\nnot heard of: {shortened(silent)}" if silent else ""
            raise NodeFailedError(
                f"before round 1, {counted(len(failed))} cannot take part:\n{lines}{absent}"
            )
        logger.warning("going on without:\n%s", lines)
    warn_of_versions({greeting.name: greeting.versions for greeting in chosen})
    return chosen


def _line(greeting: Greeting) -> Line:
    said = [finding.text for finding in greeting.findings or ()]
    if greeting.failure is not None and not said:
        said = [str(greeting.failure)]
    return greeting.name, greeting.failure is None, said


def _meant(greeted: list[Greeting], nodes: int | tuple[str, ...]) -> list[Greeting]:
    """Return those asked for; one that failed before it had a name may be a missing one."""
    if not isinstance(nodes, tuple):
        return list(greeted)
    complete = {greeting.name for greeting in greeted} >= set(nodes)
    return [g for g in greeted if g.name in nodes or (not complete and _unnamed(g))]


def _unnamed(greeting: Greeting) -> bool:
    return greeting.failure is not None and greeting.name == str(greeting.address)
