"""Messages in this process, which become Flower's only when a user's own strategy looks into one.

Flower's records and metadata cost more than a round on scalars does, and copy large arrays.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord, Message, MessageType, MetricRecord, RecordDict

from flame_flwr.flower import set_message_id
from flame_flwr.payload import to_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flwr.app import ArrayRecord, Error, Metadata

    from flame_flwr.payload import Payload

__all__ = ["PREFIX", "LocalReply", "LocalRequest", "address_of", "request_records"]

PREFIX = {MessageType.TRAIN: "fitins", MessageType.EVALUATE: "evaluateins"}
"""What the names of a request's records begin with."""

_NOTHING = RecordDict()
"""Shared by all: Flower's constructor wants a content, and the real one is set when it is read."""


class _LocalMessage(Message):
    """A message that has no metadata before it is asked for them, and no records either.

    Attributes
    ----------
    unread : tuple or None
        What it carries; ``None`` where the records hold it, and maybe something else by now.
    message_id : str
        The id that its metadata have.
    """

    unread: tuple[Any, Any] | None
    message_id = ""
    made = False

    @abstractmethod
    def _make(self) -> None:
        """Call Flower's constructor, with no content."""

    @abstractmethod
    def _records(self, one: Any, other: Any) -> RecordDict:
        """Return what it carries as the records in which it travels."""

    @property
    def metadata(self) -> Metadata:
        """Flower's metadata."""
        if not self.made:
            self.made = True  # first, as `set_message_id` reads the metadata
            self._make()
            set_message_id(self, self.message_id)
        return super().metadata

    @property
    def content(self) -> RecordDict:
        """The records, as Flower's server or client would send them."""
        if self.unread is not None:
            self.content = self._records(*self.unread)
        return super().content

    @content.setter
    def content(self, value: RecordDict) -> None:
        _ = self.metadata  # Flower's setter needs what its constructor has set
        self.unread = None
        Message.content.fset(self, value)  # type: ignore[attr-defined]

    @property  # type: ignore[misc]  # nothing may set it
    def error(self) -> Error:
        """Raise, as Flower does: there is none."""
        _ = self.metadata
        return super().error

    def has_content(self) -> bool:
        """Return ``True``: a failure in this process is an exception."""
        return True

    def has_error(self) -> bool:
        """Return ``False``."""
        return False


class LocalRequest(_LocalMessage):
    """What a node is asked.

    Parameters
    ----------
    kind : str
        The type of the message.
    address : int
        The node's.
    arrays : ArrayRecord
        The aggregate; the messages of a round share it.
    config : ConfigRecord
        What is said beside it.
    ttl : float
        Seconds that the message is valid.
    group_id : str
        The round.
    """

    def __init__(
        self,
        kind: str,
        address: int,
        arrays: ArrayRecord,
        config: ConfigRecord,
        ttl: float,
        group_id: str,
    ) -> None:
        self.unread = arrays, config
        self.kind = kind
        self.address = address
        self._rest = ttl, group_id

    def _make(self) -> None:
        ttl, group_id = self._rest
        super().__init__(_NOTHING, self.address, self.kind, ttl=ttl, group_id=group_id)

    def _records(self, one: ArrayRecord, other: ConfigRecord) -> RecordDict:
        return request_records(self.kind, one, other)


class LocalReply(_LocalMessage):
    """The answer of a node to a round.

    Parameters
    ----------
    payload : Payload
        The node's result.
    said : dict
        What it says beside that.
    reply_to : Message
        What was asked.
    """

    def __init__(self, payload: Payload, said: Mapping[str, Any], reply_to: Message) -> None:
        self.unread = payload, said
        self.reply_to = reply_to

    def _make(self) -> None:
        super().__init__(_NOTHING, reply_to=self.reply_to)

    def _records(self, one: Payload, other: Mapping[str, Any]) -> RecordDict:
        return RecordDict(
            {
                "fitres.parameters": to_record(one),
                "fitres.metrics": ConfigRecord(dict(other)),
                "fitres.num_examples": MetricRecord({"num_examples": 1}),
            }
        )


def address_of(message: Message) -> int:
    """Return the address of the node that a message goes to."""
    if isinstance(message, LocalRequest) and not message.made:
        return message.address
    return message.metadata.dst_node_id


def request_records(kind: str, arrays: ArrayRecord, config: ConfigRecord) -> RecordDict:
    """Return the records of a request."""
    return RecordDict({f"{PREFIX[kind]}.parameters": arrays, f"{PREFIX[kind]}.config": config})
