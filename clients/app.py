"""The ClientApp of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from flwr.app import Message, MessageType, RecordDict
from flwr.clientapp import ClientApp

from flame_flwr.clients.checked_client import CheckedClient
from flame_flwr.clients.client import StarClient
from flame_flwr.clients.node import NodePlan
from flame_flwr.clients.reply_gate import ReplyGate
from flame_flwr.clients.reply_origin import error_reply, shares_tracebacks
from flame_flwr.clients.reply_records import is_plain, round_records
from flame_flwr.errors import FlameError
from flame_flwr.failure.failure import Failure
from flame_flwr.failure.notes import add_hint, log_error
from flame_flwr.failure.tracebacks import is_interrupt
from flame_flwr.flower import answer_of, answer_with
from flame_flwr.log import show
from flame_flwr.star.nodes import StarAnalyzer
from flame_flwr.transport.packing import is_packed, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from flwr.app import Context

    from flame_flwr.flower import Client, FitRes

__all__ = [
    "NodeClientApp",
    "UnableClient",
    "answered",
    "leave_gate_to_node",
    "make_client_app",
]


class UnableClient(StarClient):
    """Answers every message with why this node cannot take part.

    Parameters
    ----------
    error : BaseException
        Why.
    context : Context
        Flower's, of this node and run.
    """

    def __init__(self, error: BaseException, context: Context) -> None:
        super().__init__(NodePlan(StarAnalyzer), context)  # type: ignore[type-abstract]
        self.error = error

    def _fail(self, *message: object) -> NoReturn:
        raise self.error

    get_properties = fit = evaluate = _fail  # type: ignore[assignment]


class NodeClientApp(ClientApp):
    """A ClientApp of the framework's: the only kind that a gated node runs."""


class StarClientApp(NodeClientApp):
    """A ``ClientApp`` that pickles as its plan: a simulation sends it with every message."""

    def __init__(self, plan: NodePlan, client: type[StarClient], mods: list[Any] | None) -> None:
        super().__init__(mods=mods)
        answer_with(self, self._answer, mods)
        self._made_from = (plan, client, mods)

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer a message; the answer leaves through the node's gate."""
        reply = answered(super().__call__, unpack(message), context)
        return pack(reply) if is_packed(message) else reply

    def __reduce__(self) -> tuple[Any, ...]:
        return (StarClientApp, self._made_from)

    def _answer(self, message: Message, context: Context) -> Message | FitRes:
        """Return what the node's client answers; as records only to who looks at these."""
        client = self._client(context)
        # A subclass's own client is asked as Flower asks it.
        if message.metadata.message_type != MessageType.TRAIN or type(client) is not CheckedClient:
            return answer_of(client, message, context)
        answer = client.train(message.content)
        # Mods look at records, and so does a gate in another process. Else the gate takes the
        # answer as it is: to make records and read them is most of what a small round takes.
        if is_plain(answer) and not self._made_from[2] and not _GATED_ELSEWHERE:
            return answer
        return Message(RecordDict(round_records(answer)), reply_to=message)

    def _client(self, context: Context) -> Client:
        show()
        plan, client, _ = self._made_from
        try:
            client = _selected(context.run_config.get("client")) or client
        except FlameError as error:
            return UnableClient(error, context).to_client()
        try:
            return client(plan, context).to_client()
        except Exception as error:
            add_hint(error, f"{client.__name__} cannot be constructed")
            raise


def _selected(plugin: object) -> type[StarClient] | None:
    """Return the client of the plug-in that the run config selects, if any."""
    if not plugin or not isinstance(plugin, str):
        return None
    from flame_flwr.clients.client_plugin import client

    return client(plugin)


def answered(
    answer: Callable[[Message, Context], Message], message: Message, context: Context
) -> Message:
    """Answer a message; the answer leaves through the gate, and is noted in the audit log, if any.

    An exception that comes up here, such as a message mod's, is answered without its text: Flower
    would send it. Where the log cannot be written, the answer is that, and no more.
    """
    gate = None if _GATED_ELSEWHERE else ReplyGate(message, context)
    try:
        reply = (gate and gate.refusal()) or answer(message, context)
    except BaseException as error:
        if is_interrupt(error):
            raise
        log_error(error, "the message could not be answered")
        reply = error_reply(message, context, Failure.of(error, share=shares_tracebacks(context)))
    return reply if gate is None else gate.let_out(reply)


_GATED_ELSEWHERE: list[bool] = []
"""Not empty in the process of a message of a gated node: its answers pass the gate there."""


def leave_gate_to_node() -> None:
    """Say that the answers of this process pass the gate in the node's own, and not here.

    It saves doing it twice. An app that changes it gains nothing: the node's own gate is the one
    that holds.
    """
    _GATED_ELSEWHERE.append(True)


def make_client_app(
    plan: NodePlan, client: type[StarClient] = StarClient, mods: list[Any] | None = None
) -> ClientApp:
    """Return the ClientApp that runs `plan` on a node.

    Parameters
    ----------
    plan : NodePlan
        The model's part for nodes.
    client : type of StarClient
        A subclass of a user's own, where there is one.
    mods : list of callables, optional
        Flower's message mods.

    Examples
    --------
    >>> from flame_flwr.star import StarAnalyzer
    >>> class Count(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         return 3
    >>> client_app = make_client_app(NodePlan(Count))
    """
    return StarClientApp(plan, client, mods)
