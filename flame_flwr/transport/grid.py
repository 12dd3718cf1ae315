"""Rounds over a Flower ``Grid``: a simulation's, a SuperLink's, or the one in this process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flwr.app import ArrayRecord, ConfigRecord, Error, Message

from flame_flwr.errors import ModelError, PayloadError
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import RAISED, runtime
from flame_flwr.metrics import MOST_SCORES, OF_AN_ANSWER, readable
from flame_flwr.payload import encode, from_record, to_record
from flame_flwr.results.filter_record import read_names, read_report
from flame_flwr.transport.exchange import NO_ANSWER, pull, push, shortened
from flame_flwr.transport.hello import check_states, say_hello
from flame_flwr.transport.interface import Reply
from flame_flwr.transport.reconnecting import Reconnecting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flwr.serverapp import Grid

    from flame_flwr.config import RunSettings
    from flame_flwr.payload import Payload
    from flame_flwr.strategies.star import StarStrategy

__all__ = ["GridTransport"]


class GridTransport:
    """Carries rounds over a Grid, through the strategy's Message methods.

    Parameters
    ----------
    strategy : StarStrategy
        Makes the messages and takes the replies.
    grid : Grid
        Flower's.
    settings : RunSettings
        Which nodes to wait for, and how long.
    train_config, evaluate_config : ConfigRecord
        What the caller wants in every message's config.
    session : str
        The analysis's own id.
    after : dict of str to int, optional
        The nodes of an analysis that goes on, with the rounds they go on after.

    Attributes
    ----------
    addresses : dict of str to int
        Flower's node ids by the nodes' names, in participant order.
    absent : dict of str to str
        The nodes that the analysis goes on without from the beginning, and why.
    """

    def __init__(
        self,
        strategy: StarStrategy,
        grid: Grid,
        settings: RunSettings,
        train_config: ConfigRecord,
        evaluate_config: ConfigRecord,
        session: str,
        after: Mapping[str, int] | None = None,
    ) -> None:
        self.session = session
        self.absent: dict[str, str] = {}
        self._after = after
        self.addresses: dict[str, int] = {}
        self._strategy = strategy
        self._grid = grid
        self._settings = settings
        self._train_config = train_config
        self._evaluate_config = evaluate_config
        self._asked: dict[str, str] = {}
        self._largest = 0
        self._sent: tuple[Payload, ArrayRecord] | None = None

    def hello(self) -> tuple[tuple[str, ...], bool]:
        """Wait for the expected nodes and ask each who it is; see :func:`say_hello`."""
        settings = self._settings
        if self._after is not None:
            settings = replace(settings, nodes=tuple(self._after))
        reads_first = self._strategy.nodes_read_first
        chosen = say_hello(self._grid, settings, self.session, reads_first=reads_first)
        greetings = [greeting for greeting in chosen if greeting.failure is None]
        self.absent = {g.name: str(g.failure) for g in chosen if g.failure is not None}
        check_states(greetings, self._after or {}, resumable=bool(settings.checkpoint))
        self.addresses = {greeting.name: greeting.address for greeting in greetings}
        return tuple(self.addresses), all(greeting.evaluates for greeting in greetings)

    def train(self, number: int, aggregate: Payload | None) -> Payload:
        """Run one round through ``configure_train`` and ``aggregate_train``."""
        arrays = self._record(aggregate if aggregate is not None else encode(None))
        config = ConfigRecord(dict(self._train_config))
        messages = self._strategy.configure_train(number, arrays, config, self._grid)
        when = f"round {number}"
        replies = self._exchange(self._checked(messages, "configure_train", when), when)
        merged, metrics = self._strategy.aggregate_train(number, replies)
        payload = self._strategy.accept(number, merged, metrics)
        self._sent = None if merged is None else (payload, merged)
        return payload

    def evaluate(self, number: int, aggregate: Payload) -> None:
        """Evaluate through ``configure_evaluate`` and ``aggregate_evaluate``."""
        arrays = to_record(aggregate)
        config = ConfigRecord(dict(self._evaluate_config))
        messages = self._strategy.configure_evaluate(number, arrays, config, self._grid)
        asked = self._checked(messages, "configure_evaluate", "the evaluation")
        replies = self._exchange(asked, "evaluation")
        self._strategy.accept_evaluation(self._strategy.aggregate_evaluate(number, replies))

    def read_result(self, message: Message) -> Reply:
        """Read a node's answer to a round: its payload is checked but not yet decoded."""
        reply = self._read(message, "fitres.metrics")
        if reply.failure is None:
            try:
                reply.payload = from_record(_part(message, "fitres.parameters", ArrayRecord))
            except (PayloadError, KeyError) as error:
                reply.failure = Failure.of(error, share=True)
            else:
                self._largest = max(self._largest, reply.payload.nbytes)
        return reply

    def read_scores(self, message: Message) -> Reply:
        """Read a node's answer to an evaluation."""
        return self._read(message, "evaluateres.metrics")

    def _record(self, aggregate: Payload) -> ArrayRecord:
        """Return an aggregate as it travels; what Flower's arrays hold already is not copied."""
        if self._sent is not None and self._sent[0] is aggregate:
            return ArrayRecord(dict(self._sent[1]))
        return to_record(aggregate)

    def _checked(self, messages: Iterable[Message], method: str, when: str) -> list[Message]:
        """Return a strategy's messages, of which each goes to a node of its own.

        Raises
        ------
        ModelError
            There are two for a node, of whose answers only one could count, or one for a node that
            takes no part.
        """
        owner = f"{type(self._strategy).__name__}.{method}, {when}"
        names = {address: name for name, address in self.addresses.items()}
        if not isinstance(messages, Iterable):
            raise ModelError(
                f"{owner}: it must return messages, not {type(messages).__name__}; has it a "
                "`return`?"
            )
        found, seen = list(messages), set()
        for message in found:
            if not isinstance(message, Message):
                raise ModelError(f"{owner}: it must return messages, not {type(message).__name__}")
            address = message.metadata.dst_node_id
            if address not in names:
                raise ModelError(
                    f"{owner}: a message goes to node {address}, which takes no part in this run; "
                    f"its nodes are {shortened([f'{n} ({a})' for a, n in names.items()])}"
                )
            if address in seen:
                raise ModelError(
                    f"{owner}: there are two messages for node {names[address]}, and only one "
                    "answer of a node can count: return one message per node, with all that it "
                    "needs"
                )
            seen.add(address)
        return found

    def _exchange(self, messages: list[Message], what: str) -> Iterator[Message]:
        names = {address: name for name, address in self.addresses.items()}
        reconnecting = self._reconnecting(messages, what)
        sent, refused = push(self._grid, messages, what)

        def name(message: Message) -> str:
            address = message.metadata.dst_node_id
            return names.get(address, str(address))

        self._asked = {key: name(message) for key, message in sent.items()}
        for message in refused:
            self._asked[message.metadata.message_id] = name(message)
            if reconnecting is None:
                yield Message(Error(NO_ANSWER, "its SuperNode is gone"), reply_to=message)
            else:
                reconnecting.lose(name(message))
        yield from pull(
            self._grid,
            sent,
            timeout=self._settings.round_timeout,
            largest=lambda: self._largest,
            what=what,
            names=self._asked,
            reconnecting=reconnecting,
            gone=refused if reconnecting is not None else (),
        )

    def _reconnecting(self, messages: list[Message], what: str) -> Reconnecting | None:
        if self._settings.on_failure != "wait" or runtime() == "process":
            return None
        return Reconnecting(self._grid, self.addresses, messages, self.session, what)

    def _read(self, message: Message, record: str) -> Reply:
        # Flower answers itself for a node that is gone: only the message asked tells which.
        node = self._asked.get(message.metadata.reply_to_message_id, "an unknown node")
        if message.has_error():
            kind = {NO_ANSWER: "timeout", RAISED: "exception"}.get(message.error.code, "crash")
            return Reply(node, failure=Failure.of_flower(kind, str(message.error.reason)))
        metrics = dict(_part(message, record, ConfigRecord))
        if isinstance(metrics.get("failure"), bytes):  # a number is a score of that name
            return Reply(node, failure=Failure.from_json(metrics["failure"]))
        trained = record == "fitres.metrics"
        beside = {key: metrics.pop(key, "") for key in OF_AN_ANSWER} if trained else {}
        seconds = beside.get("seconds")
        numbers = {
            key: value
            for key, value in metrics.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        return Reply(
            node,
            seconds=float(seconds) if isinstance(seconds, int | float) else 0.0,
            metrics=readable(numbers) if trained else _scores(numbers),
            filters=read_report(beside.get("filters", "")),
            size=_short(beside.get("size", "")),
            disclosure=read_names(beside.get("disclosure", "")),
        )


def _scores(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return the scores that can be: they have no record in common with the framework's own."""
    return readable(numbers, reserved=frozenset(), most=MOST_SCORES)


def _short(text: object) -> str:
    """Return a node's text where it is one that can be shown in a line."""
    return text if isinstance(text, str) and len(text) <= 200 and text.isprintable() else ""


def _part(message: Message, key: str, kind: type[Any]) -> Any:
    """Return one of a reply's records; an empty one where it has none of that kind.

    Not by ``content.array_records``: such a view holds itself, and with it the whole reply, until
    Python next looks for cycles.
    """
    record = message.content.get(key)
    return record if isinstance(record, kind) else kind()
