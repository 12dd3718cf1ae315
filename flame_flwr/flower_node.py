"""Flower's SuperNode, run as our node: with the state that has messages answered here.

:func:`run_supernode` is Flower's own program with some parts replaced. Its state has each message
answered as soon as it is complete. Its connection asks soon after an answer, and then less and less
often. It gives signs of life every second while it answers a message. No SuperExec is started, and
nobody else is given a task. Where :mod:`flame_flwr.flower_fingerprints` does not know the installed
Flower, its own program is the one to run.
"""

from __future__ import annotations

import argparse
import importlib
import random
import secrets
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from flame_flwr.flower import SIGN_EVERY
from flame_flwr.flower_node_state import AnsweringState
from flame_flwr.flower_single_record import single_record
from flame_flwr.installed.versions import moved
from flame_flwr.log import logger
from flame_flwr.polling import IDLE_AFTER, IDLE_WAIT, Polling

try:
    from flwr.common import constant
    from flwr.common.config import parse_config_args
    from flwr.supercore.exit import ExitCode, flwr_exit
    from flwr.supercore.heartbeat import HeartbeatSender
    from flwr.supercore.inflatable.inflatable_utils import ObjectUnavailableError
    from flwr.supernode import fleet_http_connection as _connection
    from flwr.supernode import start_client_internal as _loop
    from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
    from flwr.supernode.nodestate import NodeState, NodeStateFactory
except ImportError as error:
    from importlib.metadata import version

    raise ImportError(moved(version("flwr")), name=error.name, path=error.path) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flwr.app import Context

    from flame_flwr.flower_node_state import NodeAnswer, NodeMessage

__all__ = ["ServerReply", "node_config_of", "run_supernode"]

_OBJECT_LIMIT = 1.0
"""Seconds in which parts of a message are asked for often: its sender is still pushing them."""


class ServerReply(NamedTuple):
    """How the server has answered one of the node's calls.

    Attributes
    ----------
    status : int
        Of HTTP; 401 where it refuses the node's key, or the time at which it has signed.
    date : str
        The server's time, as HTTP has it, or empty.
    asked_at, answered_at : float
        Seconds since 1970, by this node's clock.
    """

    status: int
    date: str
    asked_at: float
    answered_at: float


def run_supernode(
    answer: Callable[[NodeMessage], NodeAnswer],
    options: Sequence[str],
    will_pass: Callable[[ServerReply], bool],
    keep: Callable[[Context], None],
) -> None:
    """Run Flower's SuperNode until it ends, and have its messages answered.

    Parameters
    ----------
    answer : callable
        Called with one message at a time, in the thread that runs the node.
    options : sequence of str
        Those of ``flower-supernode``.
    will_pass : callable
        Called with every reply of the server, from several threads. Where it returns ``True``, the
        call is made again; else Flower ends a node that is refused.
    keep : callable
        Called with the context of a run that is now kept in memory. It may empty those before:
        Flower never does, as it does not tell a node that a run has ended.

    Raises
    ------
    SystemExit
        As Flower's program ends.
    """
    loop: Any = _loop
    # By its name: in `flwr.supernode.cli` the function of that name hides the module.
    program: Any = importlib.import_module("flwr.supernode.cli.flower_supernode")
    parse = program._parse_supernode_lifespan_config
    singles: dict[str, str] = {}
    busy = threading.Event()

    def parsed() -> Any:
        config = parse()
        config.isolation = "process"  # no SuperExec: its work is done here
        # Flower's port gives any local program the next task that has no secret.
        config.superexec_auth_secret = secrets.token_bytes(32)
        return config

    class Factory(NodeStateFactory):
        def state(self) -> NodeState:
            with self.lock:  # the loop and the threads of Flower's own port ask for it
                if self.state_instance is None:
                    store = self.objectstore_factory.store()
                    self.state_instance = AnsweringState(store, answer, keep, singles)
                return self.state_instance

    with _replaced(
        (program, "_parse_supernode_lifespan_config", parsed),
        (program, "NodeStateFactory", Factory),
        (loop, "http_request_response", _prompt(loop.http_request_response, singles, busy)),
        (_connection, "HeartbeatSender", lambda sign: _SignsOfLife(sign, busy)),
        (loop, "_pull_and_store_message", _surviving(loop._pull_and_store_message)),
        (NodeAuthHttpInterceptor, "intercept", _patient(will_pass)),
        # Flower opens an app's archive as soon as it arrives. Here it is opened once it may run.
        (loop, "get_fused_config_from_fab", lambda content, run: {}),
        (sys, "argv", ["flower-supernode", *options]),
    ):
        program.flower_supernode()
        # Flower's loop has ended over an error that it has logged. Its own program then stays
        # there and does nothing; this one ends, so that it can be started again.
        flwr_exit(ExitCode.SUPERNODE_CONNECTION_ERROR, "The connection to the SuperLink broke off.")


def node_config_of(options: Sequence[str]) -> dict[str, Any]:
    """Return the node config that options of ``flower-supernode`` name.

    Raises
    ------
    ValueError, OSError
        It cannot be read.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--node-config")
    given = parser.parse_known_args(list(options))[0].node_config
    return dict(parse_config_args([given] if given else None))


def _surviving(take: Callable[..., Any]) -> Callable[..., Any]:
    """Return Flower's way of taking a message, in which one that cannot be taken ends no node.

    Flower itself would answer a message whose app no trusted key has signed, past the gate and the
    audit log; here the state knows the keys.
    """

    def taken(
        *,
        state: Any,
        object_store: Any,
        receive: Callable[[], Any],
        trusted_entities: dict[str, str] | None = None,
        **parts: Any,
    ) -> Any:
        last: Any = None
        if trusted_entities:
            state.trusted = trusted_entities

        def noted() -> Any:
            nonlocal last
            last = receive()
            return last

        try:
            return take(
                state=state,
                object_store=object_store,
                receive=noted,
                trusted_entities=None,
                **parts,
            )
        except Exception as error:
            if last is None:  # it is the connection that has ended
                raise
            message_id = last[0].metadata.message_id
            logger.error("message %s cannot be taken: it is left out", message_id, exc_info=error)
            state.delete_messages(message_ids=[message_id])
            object_store.delete(message_id)
            return None

    return taken


class _SignsOfLife(HeartbeatSender):
    """Flower's signs of life, and one every second while a message is answered.

    A node that computes asks the SuperLink for nothing, so these are all that the server can see of
    it. Each says the same as Flower's own: the node is offline after a minute without one.
    """

    def __init__(self, sign: Callable[[], bool], busy: threading.Event) -> None:
        super().__init__(sign)
        self._busy = busy

    def _run(self) -> None:
        """Give signs until it is stopped."""
        while not self._stop_event.is_set():
            taken = True
            try:
                self._retry_invoker.invoke(self._heartbeat)
            except Exception as error:  # after one that is refused, Flower's own gives no more
                taken = False
                logger.warning("a sign of life was not taken by the server: %s", error)
            # As long as Flower itself waits, by the same constants.
            pause = constant.HEARTBEAT_DEFAULT_INTERVAL - constant.HEARTBEAT_CALL_TIMEOUT
            share = constant.HEARTBEAT_BASE_MULTIPLIER + random.uniform(  # noqa: S311
                *constant.HEARTBEAT_RANDOM_RANGE
            )
            until = time.monotonic() + share * pause
            while not self._stop_event.wait(SIGN_EVERY):
                if (taken and self._busy.is_set()) or time.monotonic() >= until:
                    break


def _prompt(
    connect: Callable[..., Any], singles: dict[str, str], busy: threading.Event
) -> Callable[..., Any]:
    """Return Flower's connection, with a `receive` that asks again soon, and later less often.

    Of a message with a single record it takes that alone, and notes it by the message's id. From
    one message until the next is asked for, the node is busy.
    """

    @contextmanager
    def connected(*arguments: Any, **options: Any) -> Iterator[Any]:
        with connect(*arguments, **options) as connection:
            node_id, receive, send, get_run, get_fab, pull_object, *rest = connection

            polling = Polling()

            def patient_receive() -> Any:
                busy.clear()
                began = time.monotonic()
                polling.begin()
                while (received := receive()) is None:
                    idle = time.monotonic() - began > IDLE_AFTER
                    polling.sleep(at_least=IDLE_WAIT if idle else 0.0)
                busy.set()
                polling.note_news()
                singles.clear()  # a message is answered before the next one is received
                message, tree = received
                if single_record(tree) is None:
                    return received
                # Flower pulls what is below the tree that it is given, one call for each object.
                record = tree.children[0].children[0]
                singles[message.metadata.message_id] = record.object_id
                return message, record

            def lean_send(message: Any, tree: Any, seconds: float) -> tuple[set[str], str]:
                # Who takes the reply waits for this one only, and the SuperLink then has no others.
                wanted, session = send(message, tree, seconds)
                single = single_record(tree)
                return (wanted if single is None else wanted & {single}), session

            def prompt_pull(run_id: int, object_id: str) -> Any:
                # A message is seen before its sender has pushed all of it. Flower waits a second.
                deadline, soon = time.monotonic() + _OBJECT_LIMIT, Polling()
                while True:
                    try:
                        return pull_object(run_id, object_id)
                    except ObjectUnavailableError:
                        if time.monotonic() > deadline:
                            raise
                        soon.sleep()

            yield (node_id, patient_receive, lean_send, get_run, get_fab, prompt_pull, *rest)

    return connected


def _patient(will_pass: Callable[[ServerReply], bool]) -> Callable[..., Any]:
    """Return Flower's way of signing a call, with patience where a refusal passes."""
    signed = NodeAuthHttpInterceptor.intercept

    def intercept(self: NodeAuthHttpInterceptor, context: Any, call_next: Any) -> httpx.Response:
        asked_at = time.time()
        response: httpx.Response = signed(self, context, call_next)
        date = response.headers.get("date", "")
        if not will_pass(ServerReply(response.status_code, date, asked_at, time.time())):
            return response
        response.close()  # or each try would keep a connection open
        raise httpx.ConnectError("refused for now")  # what Flower is patient with

    return intercept


@contextmanager
def _replaced(*parts: tuple[Any, str, Any]) -> Iterator[None]:
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in parts]
    for owner, name, value in parts:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
