"""The one place where what a node answers is read: a message in, a typed and checked value out.

Everything in a reply is text and bytes of another party. Nothing behind this module looks at a
message of a node's again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flwr.app import ArrayRecord, ConfigRecord

from flame_flwr.errors import PayloadError
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import RAISED
from flame_flwr.metrics import MOST_SCORES, OF_AN_ANSWER, readable
from flame_flwr.payload import decode, from_record
from flame_flwr.results.filter_record import read_names, read_report
from flame_flwr.transport.exchange import NO_ANSWER
from flame_flwr.transport.local_reply import LocalReply

if TYPE_CHECKING:
    from flwr.app import Message

__all__ = ["Reply", "read_result", "read_scores"]

_LONGEST_SIZE = 200


@dataclass(slots=True)
class Reply:
    """One node's answer to one message: a value, or an evaluation's numbers, or a failure.

    Attributes
    ----------
    node : str
        The node's id.
    value : Any
        Its result, of a round.
    nbytes : int
        How many bytes the result took on its way.
    failure : Failure or None
        Why there is none.
    seconds : float
        Of analysis, on the node.
    metrics : dict
        The numbers of an evaluation, or those that the analyzer reported of a round.
    filters : list of dict
        What was done to the result before it left the node, as
        :meth:`flame_flwr.privacy.filter_chain.FilterChain.report` gives it.
    size : str
        How much data the node has, where it lets it be known, in its first answer.
    disclosure : list of str
        The disclosure rules that it went through.
    """

    node: str
    value: Any = None
    nbytes: int = 0
    failure: Failure | None = None
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    filters: list[dict[str, Any]] = field(default_factory=list)
    size: str = ""
    disclosure: list[str] = field(default_factory=list)


def read_result(
    message: Message, node: str, *, allow_pickle: bool = False, copies: bool = True
) -> Reply:
    """Read a node's answer to a round.

    Parameters
    ----------
    message : Message
        The answer.
    node : str
        Who gave it, as :meth:`flame_flwr.transport.interface.Transport.sender` knows.
    allow_pickle, copies : bool
        As for :func:`flame_flwr.payload.decode`.
    """
    said = _said(message, "fitres.metrics")
    if isinstance(said, Failure):
        return Reply(node, failure=said)
    unread = message.unread if isinstance(message, LocalReply) else None
    arrays = message.content.get("fitres.parameters") if unread is None else None
    try:
        if unread is not None:
            payload = unread[0]
        else:
            payload = from_record(arrays if isinstance(arrays, ArrayRecord) else {})
        value = decode(payload, allow_pickle=allow_pickle, copies=copies)
    except PayloadError as error:
        return Reply(node, failure=Failure.of(error, share=True))
    beside = {key: said.pop(key, "") for key in OF_AN_ANSWER}
    seconds, size = beside["seconds"], beside["size"]
    return Reply(
        node,
        value,
        payload.nbytes,
        seconds=float(seconds) if isinstance(seconds, int | float) else 0.0,
        metrics=readable(said),
        filters=read_report(beside["filters"]),
        size=size if _is_short(size) else "",
        disclosure=read_names(beside["disclosure"]),
    )


def read_scores(message: Message, node: str) -> Reply:
    """Read a node's answer to an evaluation.

    Parameters
    ----------
    message, node
        As for :func:`read_result`.
    """
    said = _said(message, "evaluateres.metrics")
    if isinstance(said, Failure):
        return Reply(node, failure=said)
    # Scores share no record with the framework's own numbers, so no name is taken.
    scores = readable(said, reserved=frozenset(), most=MOST_SCORES)
    return Reply(node, metrics=scores)


def _said(message: Message, key: str) -> dict[str, Any] | Failure:
    """Return a copy of what an answer says beside its arrays, or the failure that it is."""
    if isinstance(message, LocalReply) and message.unread is not None:
        return dict(message.unread[1])
    if message.has_error():
        kind = {NO_ANSWER: "timeout", RAISED: "exception"}.get(message.error.code, "crash")
        return Failure.of_flower(kind, str(message.error.reason))
    # Not by `content.config_records`: such a view holds itself, and with it the whole reply, until
    # Python next looks for cycles.
    record = message.content.get(key)
    said = dict(record) if isinstance(record, ConfigRecord) else {}
    if isinstance(said.get("failure"), bytes):  # a number is a score of that name
        return Failure.from_json(said["failure"])
    return said


def _is_short(text: object) -> bool:
    """Tell whether a node's text can be shown in a line."""
    return isinstance(text, str) and len(text) <= _LONGEST_SIZE and text.isprintable()
