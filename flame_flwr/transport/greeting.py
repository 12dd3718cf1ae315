"""What a node answers to hello: asked for, and read with nothing taken on trust."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord, Message, RecordDict

from flame_flwr import __version__
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import HELLO, OFFLINE
from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.log import logger
from flame_flwr.payload import WIRE_VERSION
from flame_flwr.transport.compatibility import must_upgrade, read_versions
from flame_flwr.transport.exchange import NO_ANSWER, push
from flame_flwr.transport.participation import failure_of, read_findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flwr.serverapp import Grid

    from flame_flwr.data.expect import Mismatch

__all__ = ["Greeting", "parse_hello", "send_hello"]

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
    findings : tuple of Mismatch or None
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
    findings: tuple[Mismatch, ...] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


def send_hello(grid: Grid, addresses: Iterable[int], session: str) -> dict[str, Message]:
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


def parse_hello(asked: Message, reply: Message, *, reads_first: bool = False) -> Greeting | None:
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


def _numbers(text: object) -> tuple[int, ...]:
    try:
        numbers = json.loads(text) if isinstance(text, str) else []
    except ValueError:
        return ()
    listed = numbers if isinstance(numbers, list) else []
    return tuple(number for number in listed if isinstance(number, int))
