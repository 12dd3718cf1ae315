"""A node's reply on its way through the gate: read, put through it, and made anew.

The same code runs wherever a reply leaves: in the process of ``flame-flwr node start``, after the
analysis's own process has ended, or, where there is no such program, behind the ClientApp.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from flame_flwr import __version__
from flame_flwr.clients.expectation_limit import EXPECTED, answer_expectations
from flame_flwr.clients.filter_counts import count_answers, counted_figures
from flame_flwr.clients.node_gate import log_protection, node_gate
from flame_flwr.clients.node_name import name_of, name_or_address
from flame_flwr.clients.reply_failures import ReplyFailures
from flame_flwr.clients.reply_origin import (
    HERE,
    AnswerCount,
    ReplyOrigin,
    noting_error,
    shares_tracebacks,
)
from flame_flwr.clients.reply_records import OK, records_of
from flame_flwr.clients.reply_values import (
    FOREIGN,
    config_of,
    count_of,
    in_known_words,
    limited_findings,
    read_count,
    read_number,
    read_rounds,
)
from flame_flwr.clients.secure_gate import SecureGate
from flame_flwr.clients.server_message import ServerMessage
from flame_flwr.config import NodeSettings
from flame_flwr.errors import FlameError, NodeFailedError
from flame_flwr.failure.notes import log_error
from flame_flwr.flower import FitRes, runtime
from flame_flwr.installed.versions import installed
from flame_flwr.metrics import MOST_SCORES, readable
from flame_flwr.payload import WIRE_VERSION, array_from_npy, from_arrays, from_record, to_record
from flame_flwr.payload.opaque import look_into
from flame_flwr.privacy.answer_cost import Cost, cost_of
from flame_flwr.privacy.disclosure import check_numbers_of
from flame_flwr.privacy.rule_tally import RuleTally
from flame_flwr.privacy.rules import is_strict
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.processes.threads import within
from flame_flwr.transport.clocks import told_clock
from flame_flwr.transport.frozen_digests import write_digests
from flame_flwr.transport.hello_findings import read_findings, write_findings

if TYPE_CHECKING:
    from collections.abc import Callable

    from flwr.app import Context

    from flame_flwr.privacy.gate import Gate

__all__ = ["TO_GATE", "ReplyGate"]

_T = TypeVar("_T")

_LOSS, _EXAMPLES = 0.0, 1
"""What the framework's client says; another number is one that a client of the app's own sends."""

TO_GATE = "flame_flwr.gate"
"""The key beside a result under which a client hands over what the gate must know."""


class ReplyGate:
    """Puts the reply to one message through the node's gate.

    Parameters
    ----------
    message : Message
        What was asked.
    context : Context
        Of the node and run; its state gets the counts of filtered answers.
    origin : ReplyOrigin
        How the reply comes here.
    """

    def __init__(self, message: Message, context: Context, origin: ReplyOrigin = HERE) -> None:
        self._noted: dict[str, Any] = {}
        self._count = AnswerCount(origin.ledger)
        self._message = message
        self._context = context
        self._origin = origin
        self._asked = ServerMessage(message)
        self._failures = ReplyFailures(self._asked, context, origin, lambda: self._keeps_texts)

    def refusal(self) -> Message | None:
        """Return the answer to a message that must not come to the analysis; ``None`` if it may."""
        kind = self._asked.kind
        try:
            if kind in ("round", "evaluation") and not self._gate.pickles:
                self._in_time(self._arrives)  # the server, too, chooses how much work that is
            if kind in ("round", "evaluation"):
                before = self._secure.before()
                if before is not None:
                    return Message(RecordDict(before), reply_to=self._message)
            self._count.check()
        except Exception as error:
            log_error(error, "node %s does not take what the server sent", self._name)
            return self._failures.stopped(error)
        return None

    def let_out(self, reply: Message | FitRes) -> Message:
        """Return the reply as it may leave; where it may not, a failure that says why.

        It is noted in the node's audit log, if any; where that cannot be, that is the answer.
        """
        kind = self._asked.kind
        if isinstance(reply, Message) and reply.has_error():
            passed = self._failures.error(reply)
        else:
            try:
                answer = self._reader(kind)
                said = reply if isinstance(reply, FitRes) else reply.content
                has_limit = self._origin.seconds is not None
                records = self._in_time(lambda: answer(said)) if has_limit else answer(said)
                passed = Message(RecordDict(records), reply_to=self._message)
            except Exception as error:
                log_error(error, "node %s lets no answer leave to %s", self._name, kind)
                passed = self._failures.stopped(error)
        # Counted before it is noted: a line of the log says what left, and what the ledger refused.
        passed = self._uncounted() or passed
        return (
            noting_error(self._message, self._context, passed, self._origin, self._noted) or passed
        )

    def _reader(self, kind: str | None) -> Callable[[Any], dict[str, Any]]:
        """Return what reads an answer and returns its records anew, as they may leave."""
        if kind is None:
            raise NodeFailedError("this node answers hello, rounds and the evaluation only")
        readers: dict[str, Callable[[Any], dict[str, Any]]] = {
            "hello": self._hello,
            "round": self._round,
            "evaluation": self._evaluation,
        }
        return readers[kind]

    def _uncounted(self) -> Message | None:
        """Return what leaves in place of an answer that cannot be counted."""
        try:
            self._count.settle(self._asked.kind)
        except FlameError as error:
            log_error(error, "node %s lets no answer leave", self._name)
            return self._failures.stopped(error)
        return None

    def _arrives(self) -> None:
        for payload in self._asked.payloads():
            self._gate.arrives(payload)

    def _in_time(self, work: Callable[[], _T]) -> _T:
        """Do what the gate does with a message, as long as that may take.

        Raises
        ------
        NodeFailedError
            It takes longer.
        """
        try:
            return within(work, self._origin.seconds)
        except TimeoutError as error:
            sent = self._asked.sent_round
            number = "" if sent == "" else f" in round {sent!r}"
            raise NodeFailedError(
                f"node {self._name} lets no answer leave{number}: its gate was not done with it in "
                "the time that one message has at this node. Return fewer and larger parts, such "
                "as arrays in place of lists, or have `message-timeout` in the node config raised"
            ) from error

    # ---- the three kinds of answers ----------------------------------------------------------

    def _hello(self, content: RecordDict) -> dict[str, Any]:
        said = config_of(content, "getpropertiesres.properties")
        if (failure := self._failures.read(said)) is not None:
            return self._failures.records("hello", failure)
        study, evaluates = Study.from_bytes(said.get(TO_GATE)), said.get("evaluates") is True
        self._gate.hello(study, evaluates=evaluates)
        log_protection(self._gate, study)
        found = read_findings(said.get("findings"))
        # Before the findings are looked at: an analysis that asks too often is told none of them.
        if self._origin.gated and found is not None:
            asked, folder = said.get(EXPECTED), self._settings.state_dir
            answer_expectations(asked, self._origin.project, self._name, folder)
        if found:  # their texts are another process's
            withheld = RuleTally()
            found = limited_findings(
                self._gate.findings(found, study, withheld),
                share=shares_tracebacks(self._context),
                strict=self._keeps_texts,
                known=self._failures.known_words,
            )
            self._noted = {"withheld": kept} if (kept := withheld.to_json()) else {}
        if found is not None:  # that nothing is unexpected is an answer, too
            self._count.add(lambda: Cost(len(found)))
        states = read_rounds(said.get("states"))
        # Made anew, and not passed on: what else the process has put into its hello stays here.
        properties: dict[str, Any] = {
            **({} if found is None else {"findings": write_findings(found)}),
            "name": self._name,
            "framework": __version__,
            "wire": WIRE_VERSION,
            "versions": json.dumps(installed()),
            "evaluates": evaluates,
            "partitions": self._settings.num_partitions,
            "keeps-state": said.get("keeps-state") is True,
            "states": json.dumps(states),
            "gated": self._origin.gated,
            **({"hospital": self._settings.hospital} if self._settings.hospital else {}),
            "packs": runtime() == "deployment",  # it saves calls that only a deployment has
            **write_digests(self._origin.read_frozen(self._context)),
            **self._secure.hello(states),
            **told_clock(self._origin.clock),
        }
        return records_of("getpropertiesres", properties=ConfigRecord(properties))

    def _round(self, answer: RecordDict | FitRes) -> dict[str, Any]:
        if (before := self._secure.before()) is not None:
            return before
        tensors: list[bytes] | None = None
        # It was made in this process: no records, which would take most of such a round, need be.
        if isinstance(answer, FitRes):
            said, tensors = answer.metrics, answer.parameters.tensors
            examples = count_of(answer.num_examples)
            returned = from_arrays(list(map(array_from_npy, tensors)))
        else:
            said = config_of(answer, "fitres.metrics")
            if (failure := self._failures.read(said)) is not None:
                return self._failures.records("round", failure)
            arrays = answer.get("fitres.parameters")
            if not isinstance(arrays, ArrayRecord):
                raise NodeFailedError(FOREIGN)
            examples = read_count(answer, "fitres.num_examples", "num_examples")
            returned = from_record(arrays)
        study, metrics = self._study(said), readable(said)
        if examples != 1:
            check_numbers_of("num_examples", self._gate.holding(study))
        number = self._asked.round()
        filtered = study.filters or self._gate.filters  # nothing else looks at the aggregate
        aggregate = self._asked.aggregate() if filtered else None
        metrics = {} if self._secure.asks else metrics  # they do not travel masked
        frozen = self._origin.read_frozen(self._context)
        with counted_figures(self._context, self._gate.account, frozen):
            passed = self._gate.result(
                returned, study, number, aggregate, metrics, sparse=not self._secure.asks
            )
        self._noted = passed.noted()
        if not self._secure.asks:  # here for the second time: only now is known what it declares
            self._secure.check_unmasked(declared=study.secure)
        beside = len(metrics) + int(examples != _EXAMPLES and not self._secure.asks)
        self._count.add(lambda: cost_of(passed, beside))
        if self._secure.asks:
            return self._secure.masked(look_into(passed.payload).value, study.sums)
        said_now: dict[str, Any] = {**metrics, "seconds": read_number(said.get("seconds"))}
        said_now |= self._origin.said_of_data(self._context)
        if self._shares_size:
            size = study.evidence.words(passed.people)
            said_now |= {"size": size} if size else {}
        said_now |= passed.said()
        if passed.filters:
            counted = count_answers(self._context.state, passed.filters)
            said_now["filters"] = json.dumps(counted)
        return {  # not by `records_of`: no function more on a value's way
            "fitres.metrics": ConfigRecord(said_now),
            "fitres.num_examples": MetricRecord({"num_examples": examples}),
            "fitres.parameters": to_record(
                passed.payload, tensors if passed.payload is returned else None
            ),
            "fitres.status": ConfigRecord(OK),
        }

    def _study(self, said: dict[str, Any]) -> Study:
        study, known = Study.from_bytes(said.get(TO_GATE)), self._failures.known_words
        return study if known is None else in_known_words(study, known)

    def _evaluation(self, content: RecordDict) -> dict[str, Any]:
        if (before := self._secure.before()) is not None:
            return before
        said = config_of(content, "evaluateres.metrics")
        if (failure := self._failures.read(said)) is not None:
            return self._failures.records("evaluation", failure)
        study = Study.from_bytes(said.pop(TO_GATE, None))
        self._gate.evaluation(study)
        loss = content.get("evaluateres.loss")
        number = loss.get("loss") if isinstance(loss, MetricRecord) else None
        scores = readable(said, reserved=frozenset(), most=MOST_SCORES)
        if not self._secure.asks:
            self._secure.check_unmasked(declared=study.secure)
        number = number if isinstance(number, int | float) else _LOSS
        examples = read_count(content, "evaluateres.num_examples", "num_examples")
        figures = len(scores)
        if not self._secure.asks:  # else neither leaves
            figures += int(number != _LOSS) + int(examples != _EXAMPLES)
        self._count.add(lambda: Cost(figures, exact=int(figures > 0)))
        if self._secure.asks:
            return self._secure.masked(scores, {})
        return records_of(
            "evaluateres",
            loss=MetricRecord({"loss": number}),
            num_examples=MetricRecord({"num_examples": examples}),
            metrics=ConfigRecord(dict(scores)),
        )

    # ---- what the node's and the run's config say --------------------------------------------

    @cached_property
    def _settings(self) -> NodeSettings:
        return NodeSettings.from_config(self._context.node_config)

    @cached_property
    def _gate(self) -> Gate:
        return node_gate(self._settings, self._context)

    @cached_property
    def _secure(self) -> SecureGate:
        settings = self._settings
        name = name_of(settings, self._context)
        return SecureGate(self._message, self._context, settings, name, self._origin.app_files)

    @cached_property
    def _name(self) -> str:
        return name_or_address(self._context)

    @property
    def _keeps_texts(self) -> bool:
        """Whether texts of the analysis stay at the node: it lets statistics or sums out alone."""
        return is_strict(self._gate.rules) or self._secure.is_required

    @property
    def _shares_size(self) -> bool:
        """Whether it may be known how much data there is; by default in a simulation only."""
        share = self._settings.share_size
        return runtime() != "deployment" if share is None else share
