"""The server's message, read as far as a node's gate needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flwr.app import Message, MessageType

from flame_flwr.clients.secure_gate import aggregate_in
from flame_flwr.errors import ConfigError
from flame_flwr.flower import EMPTY, HELLO
from flame_flwr.payload import Payload, from_record

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ServerMessage"]

_KINDS = {HELLO: "hello", MessageType.TRAIN: "round", MessageType.EVALUATE: "evaluation"}


@dataclass(frozen=True, slots=True)
class ServerMessage:
    """A message of the server's: what it asks for, and what came with it.

    Parameters
    ----------
    message : Message
        As it came.
    """

    message: Message

    @property
    def kind(self) -> str | None:
        """``"hello"``, ``"round"`` or ``"evaluation"``; ``None`` where a node answers no such."""
        return _KINDS.get(self.message.metadata.message_type)

    @property
    def sent_round(self) -> object:
        """What stands as the round, of whatever type; empty where the message is of none."""
        config = self.message.content.config_records.get("fitins.config")
        return "" if config is None else config.get("round")

    def round(self) -> int:
        """Return the round that was asked for.

        Raises
        ------
        ConfigError
            There is none.
        """
        try:
            return int(self.sent_round)  # type: ignore[call-overload, no-any-return]
        except (TypeError, ValueError) as error:
            raise ConfigError("the message asks for no round") from error

    def aggregate(self) -> Payload | None:
        """Return the aggregate that a round came with."""
        return aggregate_in(self.message, "fitins.parameters")

    def payloads(self) -> Iterator[Payload]:
        """Yield all values that came with it."""
        for record in self.message.content.array_records.values():
            if list(record) not in ([], [EMPTY]):
                yield from_record(record)
