"""The ClientApp of a model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

from flwr.app import Error, Message
from flwr.clientapp import ClientApp

from flame_flwr.clients.audit import AuditLog
from flame_flwr.clients.checked_client import shares_tracebacks
from flame_flwr.clients.client import StarClient
from flame_flwr.clients.node import NodePlan
from flame_flwr.errors import FlameError
from flame_flwr.failure.failure import Failure
from flame_flwr.failure.notes import add_hint, log_error
from flame_flwr.flower import HELLO, RAISED
from flame_flwr.log import show
from flame_flwr.star.nodes import StarAnalyzer

if TYPE_CHECKING:
    from collections.abc import Callable

    from flwr.app import Context

    from flame_flwr.flower import Client

__all__ = ["UnableClient", "audited", "make_client_app"]


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


class _ClientFn:
    """Makes a node's client; an object and not a closure, so that Ray pickles it by reference."""

    def __init__(self, plan: NodePlan, client: type[StarClient]) -> None:
        self.plan = plan
        self.client = client

    def __call__(self, context: Context) -> Client:
        show()
        try:
            client = self._client(context.run_config.get("client"))
        except FlameError as error:
            return UnableClient(error, context).to_client()
        try:
            return client(self.plan, context).to_client()
        except Exception as error:
            add_hint(error, f"{client.__name__} cannot be constructed")
            raise

    def _client(self, plugin: object) -> type[StarClient]:
        """Return the model's client, or that of the plug-in that the run config selects."""
        if not plugin or not isinstance(plugin, str):
            return self.client
        from flame_flwr.clients.plugin import client

        return client(plugin)


class StarClientApp(ClientApp):
    """A ``ClientApp`` that pickles as its plan: a simulation sends it with every message."""

    def __init__(self, plan: NodePlan, client: type[StarClient], mods: list[Any] | None) -> None:
        super().__init__(_ClientFn(plan, client), mods=mods)
        self._made_from = (plan, client, mods)

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer a message, and note the answer in the node's audit log where it has one."""
        return audited(super().__call__, message, context)

    def __reduce__(self) -> tuple[Any, ...]:
        return (StarClientApp, self._made_from)


def audited(
    answer: Callable[[Message, Context], Message], message: Message, context: Context
) -> Message:
    """Answer a message; the answer leaves only when it stands in the ``audit-log``, if any.

    An exception that comes up here, such as a message mod's, is answered without its text: Flower
    would send it. Where the log cannot be written, the answer is that, and no more.
    """
    try:
        reply = answer(message, context)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        log_error(error, "the message could not be answered")
        reply = _failed(message, context, error, share=shares_tracebacks(context))
    path = context.node_config.get("audit-log")
    if not isinstance(path, str) or not os.path.isabs(path):
        return reply  # hello has refused any other path
    try:
        AuditLog(path).note(context, message, reply)
    except Exception as error:
        log_error(error, "the answer could not be noted, so it does not leave")
        reply = _failed(message, context, error, share=False)
    return reply


def _failed(message: Message, context: Context, error: BaseException, *, share: bool) -> Message:
    reason = str(Failure.of(error, share=share))
    if message.metadata.message_type == HELLO:  # the server does not know yet who this is
        reason = f"node {context.node_config.get('name', context.node_id)}: {reason}"
    return Message(Error(RAISED, reason), reply_to=message)


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
