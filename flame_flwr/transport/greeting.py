"""The answer of a node to hello: asked for, and parsed as coming from another party."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord, Message, RecordDict

from flame_flwr import __version__
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import HELLO, OFFLINE
from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.payload import WIRE_VERSION
from flame_flwr.privacy.secure.roster import Entry
from flame_flwr.text.foreign_json import OddReportError, read_json
from flame_flwr.text.shown_text import one_line
from flame_flwr.transport.clocks import CLOCK, read_clock
from flame_flwr.transport.compatibility import must_upgrade, read_versions
from flame_flwr.transport.frozen_digests import read_digests
from flame_flwr.transport.hello_findings import failure_of, read_findings
from flame_flwr.transport.wait_for_replies import NO_ANSWER, push

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flwr.serverapp import Grid

    from flame_flwr.data.expect import Mismatch

__all__ = ["Greeting", "parse_hello", "send_hello"]

_LONGEST_NAME = 200
_LONGEST_VERSION = 40
_LONGEST_STATES = 10_000
"""Characters of what a node says: no node may fill the server's log, or its memory by JSON."""

_WORD = re.compile(r"[a-z]{1,20}")
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
    """The answer of one node to hello.

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
    frozen : list of str
        The digests of its frozen data.
    versions : mapping of str to str
        What it runs, by package; empty of a node that does not say.
    packs : bool
        Whether it takes small messages as one record.
    clock : float or None
        Seconds that its clock is ahead of the server's; ``None`` of a node that does not say.
    gated : bool
        Whether its rules, filters and audit log are in a process of the hospital's own, as
        ``flame-flwr node start`` has it; ``False`` of Flower's SuperNode, which is "ungated".
    approval : str
        Why its hospital does not let this app run, in one word, such as ``waits``; empty where
        that is not why the node cannot take part.
    hospital : str
        The hospital's real name, where its config lets reports show it.
    secure : Entry or None
        Its keys for secure sums; ``None`` where it was not asked, or has none.
    """

    address: int
    name: str
    evaluates: bool = False
    partitions: int = 0
    failure: Failure | None = None
    keeps_state: bool = False
    states: tuple[int, ...] = ()
    findings: tuple[Mismatch, ...] | None = None
    frozen: list[str] = field(default_factory=list)
    versions: Mapping[str, str] = field(default_factory=dict)
    packs: bool = False
    clock: float | None = None
    gated: bool = False
    approval: str = ""
    hospital: str = ""
    secure: Entry | None = None


def send_hello(
    grid: Grid, addresses: Iterable[int], session: str, *, secure: bool = False
) -> dict[str, Message]:
    """Send hello to nodes; return the messages by the ids that answers name.

    Parameters
    ----------
    grid : Grid
        Flower's.
    addresses : iterable of int
        Flower's ids of the nodes.
    session : str
        The analysis's own id.
    secure : bool
        Whether nodes are asked for their keys for secure sums.
    """
    config = ConfigRecord({"wire": WIRE_VERSION, "framework": __version__, "session": session})
    if secure:
        config["secure"] = True
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
    # The one that was asked: for a node that is gone Flower answers itself, as node 1.
    address = asked.metadata.dst_node_id
    if reply.has_error() and reply.error.code == OFFLINE:
        return None
    if reply.has_error() and reply.error.code == NO_ANSWER:
        reason = one_line(reply.error.reason, _LONGEST_NAME)  # a node may say that code itself
        text = f"{reason}: {_READING if reads_first else _STARTING}"
        return Greeting(address, str(address), failure=Failure("no hello", text=text))
    return _greeting(address, reply)


def _greeting(address: int, reply: Message) -> Greeting:
    if reply.has_error():
        failure = Failure.of_flower("no hello", str(reply.error.reason))
        return Greeting(address, str(address), failure=failure)
    try:
        return _read(address, reply)
    except Exception as error:  # whatever it says, in whatever form, is its own trouble
        return Greeting(
            address, str(address), failure=Failure.of_odd_answer("an unreadable hello", error)
        )


def _read(address: int, reply: Message) -> Greeting:
    record = reply.content.get("getpropertiesres.properties")
    if not isinstance(record, ConfigRecord):
        raise OddReportError("it has no record of what the node is")
    said: dict[str, Any] = dict(record)
    name = _readable_name(said.get("name", ""), address)
    partitions = said.get("partitions")
    partitions = partitions if isinstance(partitions, int) else 0
    # Before the versions are compared: a failure comes without them.
    if "failure" in said:
        failure = Failure.from_json(said["failure"])
        state = str(said.get("approval", ""))
        approval = state if _WORD.fullmatch(state) else ""
        called = name or str(address)
        return Greeting(address, called, partitions=partitions, failure=failure, approval=approval)
    if not name:
        text = f"a node's name is printable, of at most {_LONGEST_NAME} characters, and not "
        failure = Failure("a wrong name", text=text + f"{AGGREGATOR_ID!r}")
        return Greeting(address, str(address), partitions=partitions, failure=failure)
    text = must_upgrade(said.get("wire"), one_line(said.get("framework", ""), _LONGEST_VERSION))
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
        frozen=read_digests(said.get("frozen")),
        keeps_state=bool(said.get("keeps-state")),
        states=_numbers(said.get("states")),
        versions=read_versions(said.get("versions")),
        packs=bool(said.get("packs")),
        clock=read_clock(said.get(CLOCK)),
        gated=said.get("gated") is True,  # only a clear yes: `require-gate` relies on it
        hospital=_hospital(said.get("hospital")),
        secure=_entry(name, said.get("secure")),
    )


def _readable_name(said: object, address: int) -> str:
    """Return a node's name, its address where it says none; ``''`` where it cannot be one."""
    # It is printed, so that no line break may be in it; and the aggregator's is taken.
    name = str(said) or str(address)
    unfit = len(name) > _LONGEST_NAME or not name.isprintable() or name == AGGREGATOR_ID
    return "" if unfit else name


def _hospital(said: object) -> str:
    return one_line(said, _LONGEST_NAME).strip() if isinstance(said, str) else ""


def _entry(name: str, text: object) -> Entry | None:
    """Return the keys that a node said; ``None`` where these are none."""
    if not isinstance(text, str):
        return None
    try:
        identity, key, signature = map(bytes.fromhex, text.split())
    except ValueError:
        return None
    return Entry(name, identity, key, signature)


def _numbers(text: object) -> tuple[int, ...]:
    listed = read_json(text, "`states`", _LONGEST_STATES) if text not in (None, "") else []
    if not isinstance(listed, list) or not all(type(number) is int for number in listed):
        raise OddReportError("`states` are no rounds")
    return tuple(listed)
