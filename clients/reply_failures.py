"""Failures in a node's replies: those that an answer is, and those in place of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flwr.app import Message, RecordDict

from flame_flwr.clients.node_name import name_or_address
from flame_flwr.clients.reply_origin import ReplyOrigin, error_reply, shares_tracebacks
from flame_flwr.clients.reply_records import failed_records
from flame_flwr.clients.reply_values import failure_of_reason, limited
from flame_flwr.errors import FlameError
from flame_flwr.failure.failure import Failure
from flame_flwr.transport.clocks import told_clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from flwr.app import Context

    from flame_flwr.clients.known_words import KnownWords
    from flame_flwr.clients.server_message import ServerMessage

__all__ = ["ReplyFailures"]


@dataclass(frozen=True, slots=True)
class ReplyFailures:
    """The failures of one reply, as they may leave.

    Parameters
    ----------
    asked : ServerMessage
        What was asked.
    context, origin
        As for :class:`flame_flwr.clients.reply_gate.ReplyGate`.
    is_strict : callable
        Tells whether one of the node's rules is ``Strict()``; raises where they cannot be read.
    """

    asked: ServerMessage
    context: Context
    origin: ReplyOrigin
    is_strict: Callable[[], bool]

    @property
    def known_words(self) -> KnownWords | None:
        """The words that the app may say; ``None`` where this process runs it."""
        return self.origin.known_words(self.context, self.asked.sent_round)

    def read(self, said: dict[str, Any]) -> Failure | None:
        """Return the failure that an answer is."""
        if not isinstance(said.get("failure"), bytes):  # a number is a score of that name
            return None
        return self._limited(Failure.from_json(said["failure"]))

    def records(self, kind: str, failure: Failure) -> dict[str, Any]:
        """Return the records of an answer that is a failure."""
        partitions = self.context.node_config.get("num-partitions", 0)
        name = name_or_address(self.context)
        hello = {"name": name, "partitions": partitions, "gated": self.origin.gated}
        return failed_records(kind, failure, {**hello, **told_clock(self.origin.clock)})

    def stopped(self, error: Exception) -> Message:
        """Return the answer in place of what may not come here, or not leave."""
        failure = Failure.of(error, share=shares_tracebacks(self.context))
        if (kind := self.asked.kind) is None:
            return error_reply(self.asked.message, self.context, failure)
        return Message(RecordDict(self.records(kind, failure)), reply_to=self.asked.message)

    def error(self, reply: Message) -> Message:
        """Return an error of Flower's: of another process's only its form."""
        if not self.origin.is_apps_text:
            return reply  # of this process, or made by the node itself
        failure = self._limited(failure_of_reason(str(reply.error.reason)))
        return error_reply(self.asked.message, self.context, failure)

    def _limited(self, failure: Failure) -> Failure:
        share = shares_tracebacks(self.context)
        try:
            strict = self.is_strict()
        except (FlameError, OSError) as error:  # they may say Strict(), and are what is wrong
            return Failure.of(error, share=False)
        return limited(failure, share=share, strict=strict, known=self.known_words)
