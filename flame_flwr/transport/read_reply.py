"""The one place where what a node answers is read: a message in, a typed and checked value out.

Everything in a reply is text and bytes of another party. Nothing behind this module looks at a
message of a node's again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord

from flame_flwr.errors import PayloadError
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import RAISED
from flame_flwr.flower_objects import TOO_LARGE, UNREADABLE
from flame_flwr.metrics import MOST_SCORES, readable
from flame_flwr.payload import decode, from_record
from flame_flwr.payload.sparse_change import holds_sparse_change
from flame_flwr.privacy.sparse_changes import made_dense
from flame_flwr.results.filter_record import read_names, read_report
from flame_flwr.text.foreign_json import OddReportError
from flame_flwr.transport.frozen_digests import read_digests
from flame_flwr.transport.local_message import LocalReply
from flame_flwr.transport.wait_for_replies import NO_ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flwr.app import Message

    from flame_flwr.privacy.secure.layout import Answer

__all__ = ["SUMS", "Reply", "masked_answer", "read_result", "read_scores"]

SUMS = "sums"
"""The key of an evaluation's masked answer."""

_LONGEST_SIZE = 200
"""Characters of a node's line on how much data it has; a longer one is not shown."""

_LONGEST_SECONDS = 1e9
"""Thirty years: more, NaN or less than nothing would spoil sums and charts of times."""

_KINDS = {
    NO_ANSWER: "timeout",
    RAISED: "exception",
    TOO_LARGE: "too large",
    UNREADABLE: "unreadable",
}


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
        How long the analysis took on the node.
    metrics : dict
        The numbers of an evaluation, or those that the analyzer reported of a round.
    filters : list of dict
        What was done to the result before it left the node, as
        :meth:`flame_flwr.privacy.filter_chain.FilterChain.report` gives it.
    size : str
        How much data the node has, where it lets it be known, in its first answer.
    disclosure : list of str
        The disclosure rules that it went through.
    frozen : list of str
        The digests of the frozen data that it is made of.
    data_changed : bool
        Whether the node's data was something else in the round before.
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
    frozen: list[str] = field(default_factory=list)
    data_changed: bool = False


def read_result(
    message: Message,
    node: str,
    *,
    allow_pickle: bool = False,
    copies: bool = True,
    masked: bool = False,
    room: int | None = None,
    sent: Callable[[], Any] = lambda: None,
) -> Reply:
    """Read a node's answer to a round.

    Parameters
    ----------
    message : Message
        The answer.
    node : str
        Who gave it, as :meth:`flame_flwr.transport.interface.Transport.sender` knows.
    allow_pickle, copies, room
        As for :func:`flame_flwr.payload.decode`.
    masked : bool
        Whether it is a masked answer, with nothing beside it.
    sent : callable
        Gives the aggregate that the nodes were sent, of which an answer may tell the change.
    """
    try:
        said = _said(message, "fitres.metrics")
        if isinstance(said, Failure):
            return Reply(node, failure=said)
        if isinstance(message, LocalReply) and message.unread is not None:
            payload = message.unread[0]
        else:
            arrays = message.content.get("fitres.parameters")
            payload = from_record(arrays if isinstance(arrays, ArrayRecord) else {})
        # Without pickles, whatever the analysis allows: nothing but sums can be in it.
        if masked:
            value = masked_answer(decode(payload, copies=False, room=room))
            return Reply(node, value, payload.nbytes)
        value = decode(payload, allow_pickle=allow_pickle, copies=copies, as_text=True, room=room)
        if holds_sparse_change(payload):
            value = made_dense(value, sent)
        return Reply(
            node,
            value,
            payload.nbytes,
            seconds=_seconds(said.get("seconds")),
            metrics=readable(said),  # which leaves out the names of all that is read here
            filters=read_report(said.get("filters")),
            size=_short(said.get("size")),
            disclosure=read_names(said.get("disclosure")),
            frozen=read_digests(said.get("frozen")),
            data_changed=said.get("data-changed") is True,
        )
    except PayloadError as error:  # the text is ours, and quotes what this side was sent
        return Reply(node, failure=Failure.of(error, share=True))
    except Exception as error:  # whatever it holds, in whatever form, is its node's failure
        return Reply(node, failure=Failure.of_odd_answer("unreadable", error))


def read_scores(message: Message, node: str, *, masked: bool = False) -> Reply:
    """Read a node's answer to an evaluation.

    Parameters
    ----------
    message, node, masked
        As for :func:`read_result`.
    """
    try:
        said = _said(message, "evaluateres.metrics")
        if isinstance(said, Failure):
            return Reply(node, failure=said)
        if masked:
            return Reply(node, masked_answer(said.get(SUMS)))
        # Scores share no record with the framework's own numbers, so no name is taken.
        return Reply(node, metrics=readable(said, reserved=frozenset(), most=MOST_SCORES))
    except PayloadError as error:
        return Reply(node, failure=Failure.of(error, share=True))
    except Exception as error:
        return Reply(node, failure=Failure.of_odd_answer("unreadable", error))


def masked_answer(value: Any) -> Answer:
    """Return what a node sent as a masked answer.

    Raises
    ------
    PayloadError
        It is none.
    """
    from flame_flwr.privacy.secure.layout import Answer

    # Anything else is an answer in the clear, which must not be taken for a part of a sum.
    is_array = isinstance(value, np.ndarray) and value.dtype == np.uint8
    if not is_array and not isinstance(value, bytes):
        raise PayloadError("what arrived is not masked, and nothing but masked sums may")
    return Answer.from_bytes(value)


def _said(message: Message, key: str) -> Mapping[str, Any] | Failure:
    """Return what an answer says beside its arrays, or the failure that it is."""
    if isinstance(message, LocalReply) and message.unread is not None:
        beside: Mapping[str, Any] = message.unread[1]
        return beside
    if message.has_error():
        kind = _KINDS.get(message.error.code, "crash")
        return Failure.of_flower(kind, str(message.error.reason))
    # Not by `content.config_records`: such a view holds itself, and with it the whole reply, until
    # Python next looks for cycles.
    record = message.content.get(key)
    if not isinstance(record, ConfigRecord):
        raise OddReportError(f"it has no record `{key}`")
    said = dict(record)
    if isinstance(said.get("failure"), bytes):  # a number is a score of that name
        return Failure.from_json(said["failure"])
    return said


def _seconds(said: object) -> float:
    if isinstance(said, bool) or not isinstance(said, int | float):
        return 0.0
    return float(said) if 0 <= said <= _LONGEST_SECONDS else 0.0


def _short(text: object) -> str:
    """Return a node's text if it can be shown in a line."""
    # Not cut: what is longer was made by another program, and one line cannot become two.
    is_short = isinstance(text, str) and len(text) <= _LONGEST_SIZE and text.isprintable()
    return str(text) if is_short else ""
