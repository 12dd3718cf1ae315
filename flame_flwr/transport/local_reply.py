"""A node's answer in this process: a Flower message that is made of the answer when looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict

from flame_flwr.payload import to_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.payload import Payload

__all__ = ["LocalReply"]

_NOTHING = RecordDict()


class LocalReply(Message):
    """What a node has answered to a round.

    Records cost more than a round on scalars does, and copy large arrays, so there are none before
    a strategy of a user's own reads or sets :attr:`content`.

    Parameters
    ----------
    payload : Payload
        The node's result.
    said : dict
        What it says beside that.
    reply_to : Message
        What was asked.

    Attributes
    ----------
    unread : tuple of (Payload, dict) or None
        The answer; ``None`` where the records hold it, and maybe another one by now.
    """

    unread: tuple[Payload, Mapping[str, Any]] | None

    def __init__(self, payload: Payload, said: Mapping[str, Any], reply_to: Message) -> None:
        super().__init__(_NOTHING, reply_to=reply_to)
        self.unread = payload, said

    @property
    def content(self) -> RecordDict:
        """The records, as Flower's client would send them."""
        if self.unread is not None:
            self.content = _records(*self.unread)
        return super().content

    @content.setter
    def content(self, value: RecordDict) -> None:
        self.unread = None
        Message.content.fset(self, value)  # type: ignore[attr-defined]


def _records(payload: Payload, said: Mapping[str, Any]) -> RecordDict:
    """Return an answer to a round as the records in which it travels."""
    return RecordDict(
        {
            "fitres.parameters": to_record(payload),
            "fitres.metrics": ConfigRecord(dict(said)),
            "fitres.num_examples": MetricRecord({"num_examples": 1}),
        }
    )
