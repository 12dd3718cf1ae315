"""Where a reply comes from, its count in the ledger and its line in the audit log."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from flwr.app import Error, Message

from flame_flwr.clients.audit import note
from flame_flwr.clients.known_words import KnownWords
from flame_flwr.clients.node_name import name_or_address
from flame_flwr.data.frozen_reads import frozen_reads
from flame_flwr.failure.failure import Failure
from flame_flwr.failure.notes import log_error
from flame_flwr.flower import HELLO, RAISED, runtime
from flame_flwr.privacy.answer_cost import Cost
from flame_flwr.transport.frozen_digests import write_digests

if TYPE_CHECKING:
    from collections.abc import Callable

    from flwr.app import Context

__all__ = [
    "HERE",
    "AnswerCount",
    "NodesLedger",
    "ReplyOrigin",
    "error_reply",
    "noting_error",
    "shares_tracebacks",
]


class NodesLedger(Protocol):
    """What counts a node's answers, where there is such a thing."""

    def check(self) -> None:
        """Raise an error of the framework's where no answer may leave any more."""

    def charge(self, cost: Cost) -> None:
        """Count an answer that is about to leave; raise such an error where it may not."""


class AnswerCount:
    """Has a node's ledger count an answer, once, before it leaves.

    Parameters
    ----------
    ledger : NodesLedger or None
        ``None`` where nothing counts answers.
    """

    def __init__(self, ledger: NodesLedger | None) -> None:
        self._ledger = ledger
        self._is_done = False

    def check(self) -> None:
        """See, before the analysis runs, that its answer may leave; raise an error if not."""
        if self._ledger is not None:
            self._ledger.check()

    def add(self, cost: Callable[[], Cost]) -> None:
        """Count the answer, once all is decided that is in it; raise an error if it may not be."""
        if self._ledger is not None:
            self._is_done = True  # first: that the ledger refuses it is no failure of the analysis
            self._ledger.charge(cost())

    def settle(self, kind: str | None) -> None:
        """Count an answer that is a failure of the analysis: that it failed says something, too."""
        if not self._is_done and kind in ("round", "evaluation"):
            self.add(Cost)


@dataclass(frozen=True, slots=True)
class ReplyOrigin:
    """Where a reply comes from, and what the gate is told with it.

    Parameters
    ----------
    gated : bool
        Whether the ClientApp ran in another process than this one.
    is_apps_text : bool
        Whether the text of an error is that process's own.
    app : str
        What the app is called, where it is not this process that runs it.
    clock : float or None
        Seconds that the node's clock is ahead of the server's, to be told at hello.
    seconds : float or None
        How long the gate may work on it: a reply chooses how much work it is.
    app_files : mapping of str to bytes, optional
        The app's files, by path, where it is not this process that runs it.
    ledger : NodesLedger, optional
        What counts the answer before it leaves.
    project : str
        What the app is approved for; empty where the node asks for no approval, so that what is
        counted by project is counted for all together: a run may say any project then.
    frozen : tuple of str
        The digests of the frozen data that the answer is made of, where it is not this process that
        has read it.
    data_changed : bool
        Whether the data was something else when the run last read it.
    """

    gated: bool = False
    is_apps_text: bool = False
    app: str = ""
    clock: float | None = None
    seconds: float | None = None
    app_files: Mapping[str, bytes] | None = None
    ledger: NodesLedger | None = None
    project: str = ""
    frozen: tuple[str, ...] = ()
    data_changed: bool = False

    def read_frozen(self, context: Context) -> Collection[str]:
        """Return the digests of the frozen data that the answer is made of."""
        return self.frozen if self.gated else frozen_reads(context)

    def said_of_data(self, context: Context) -> dict[str, Any]:
        """Return what an answer to a round says of the data that it is made of."""
        said: dict[str, Any] = {"data-changed": True} if self.data_changed else {}
        return said | write_digests(self.read_frozen(context))

    def known_words(self, context: Context, number: object = "") -> KnownWords | None:
        """Return the words that the app may say at a node; ``None`` where this process runs it."""
        if self.app_files is None:
            return None
        config = (str(part) for pair in context.run_config.items() for part in pair)
        return KnownWords(self.app_files, (*config, name_or_address(context), str(number)))


HERE = ReplyOrigin()
"""From a ClientApp of this process."""


def noting_error(
    message: Message,
    context: Context,
    passed: Message,
    origin: ReplyOrigin = HERE,
    noted: Mapping[str, Any] | None = None,
) -> Message | None:
    """Note a reply in the node's audit log; return the error in its place if it cannot be noted.

    Parameters
    ----------
    message, context, origin
        As for :class:`flame_flwr.clients.reply_gate.ReplyGate`.
    passed : Message
        What may leave.
    noted : mapping of str to JSON values, optional
        What else its line says.
    """
    try:
        note(
            context,
            message,
            passed,
            {**({"app": origin.app} if origin.app else {}), **(noted or {})},
        )
    except Exception as error:
        log_error(error, "the answer could not be noted, so it does not leave")
        return error_reply(message, context, Failure.of(error, share=False))
    return None  # and not the reply: a value passes through no function more than it must


def error_reply(message: Message, context: Context, failure: Failure) -> Message:
    """Return an error of Flower's: for what is wrong before or behind the client."""
    reason = str(failure)
    if message.metadata.message_type == HELLO:  # the server does not know yet who this is
        reason = f"node {context.node_config.get('name', context.node_id)}: {reason}"
    return Message(Error(RAISED, reason), reply_to=message)


def shares_tracebacks(context: Context) -> bool:
    """Tell whether the text of an error may leave this node; by default in a simulation only.

    It may not from a node that lets out secure sums alone.
    """
    # Of the config as it came: an error that says what is wrong with it is answered by this, too.
    if context.node_config.get("secure") == "require":
        return False
    share = context.node_config.get("share-tracebacks")
    return share if isinstance(share, bool) else runtime() != "deployment"
