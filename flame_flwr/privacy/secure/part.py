"""``SecurePart``: a node's side of secure sums, wherever its gate is.

It takes what the server asks as a stranger's, refuses what its hospital does not allow before
anything is computed, and masks what the gate lets leave.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flame_flwr.privacy.secure.context import aggregate_bytes, context_of, declaration_bytes
from flame_flwr.privacy.secure.declaration import SecureDeclaration
from flame_flwr.privacy.secure.encoding import encode_fields
from flame_flwr.privacy.secure.fields import fields_of, runs_of
from flame_flwr.privacy.secure.layout import lay_out
from flame_flwr.privacy.secure.masks import mask_in_place
from flame_flwr.privacy.secure.roster import FEWEST, Roster
from flame_flwr.privacy.secure.session_stores import refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.payload import Payload
    from flame_flwr.privacy.secure.identities import Identities
    from flame_flwr.privacy.secure.roster import Entry
    from flame_flwr.privacy.secure.session import KeysFor, Kind, SecureSession

__all__ = ["KEYS", "Question", "Rules", "SecurePart"]

KEYS = frozenset({"round", "after", "session", "analyzers", "roster", "sums"})
"""All that a message may say in a secure session. A client's code would see more of its config,
which nobody hashes: a server could ask nodes for different things by it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """With whom a hospital takes part in secure sums.

    Parameters
    ----------
    peers : Identities, optional
        The hospitals whose keys it has pinned; without them identities are made up for the session.
    fewest : int
        The fewest nodes that a roster may have.
    only_with : tuple of str
        The names of all nodes, its own too, of the only roster that it takes; empty for any.
    """

    peers: Identities | None = None
    fewest: int = FEWEST
    only_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What a message asks for, once the hospital's rules have allowed it.

    Parameters
    ----------
    kind : {'train', 'evaluate'}
        Whether it asks for a result of training or for scores.
    number : int
        The round.
    roster : Roster
        Who takes part.
    declared : SecureDeclaration
        What is summed.
    known : list, optional
        The forms that answers have had before.
    aggregate : bytes
        The aggregate, as :func:`~flame_flwr.privacy.secure.context.aggregate_bytes` gives it.
    digest : bytes
        The hash of the whole question, by which it is known again.
    """

    kind: Kind
    number: int
    roster: Roster
    declared: SecureDeclaration
    known: list[Any] | None
    aggregate: bytes
    digest: bytes


class SecurePart:
    """One node's part in one session.

    Parameters
    ----------
    session : SecureSession
        What the node keeps of the session.
    session_id : str
        32 hexadecimal digits.
    app : bytes
        The hash of the app, as :func:`~flame_flwr.privacy.secure.context.app_digest` gives it.
    run_config : mapping
        The keys of the run config that are not the server's alone.
    rules : Rules
        The hospital's.
    """

    def __init__(
        self,
        session: SecureSession,
        session_id: str,
        app: bytes,
        run_config: Mapping[str, Any],
        rules: Rules,
    ) -> None:
        self._session = session
        self._id = session_id
        self._app = app
        self._run_config = run_config
        self._rules = rules

    def hello(self) -> Entry:
        """Return who this node is in the session."""
        return self._session.hello()

    def question(
        self, kind: Kind, config: Mapping[str, Any], aggregate: Payload | None
    ) -> Question:
        """Read what a message asks.

        Parameters
        ----------
        kind : {'train', 'evaluate'}
            Whether it is a training or an evaluation message.
        config : mapping
            What it says beside the aggregate.
        aggregate : Payload, optional
            The same object that is decoded for the analysis, so that what is hashed is what is
            used.

        Raises
        ------
        NodeFailedError
            The node answers no such question; the message says why.
        """
        number = _checked_config(kind, config, self._id)
        # Whoever tells one has to tell both: the analysis gets the names from `analyzers`.
        if "roster" in config or "analyzers" in config:
            roster = Roster.from_text(self._id, config.get("roster"))
            self._take(roster, config.get("analyzers"))
        declared, known, text = _sums(config["sums"])
        roster, coded = self._session.roster(), aggregate_bytes(aggregate)
        # The text as it came: what a server has written in another way is another question.
        digest = self._context(kind, number, roster, encode_fields(text), coded)
        return Question(kind, number, roster, declared, known, coded, digest)

    def answered(self, question: Question) -> bytes | None:
        """Return the answer that was given before; ``None`` where the question is new.

        Raises
        ------
        NodeFailedError
            It was asked before, and differently, or is over.
        """
        return self._session.answered(question.number, question.kind, question.digest)

    def answer(self, question: Question, value: Any, own: Mapping[str, Any] | None = None) -> bytes:
        """Return the masked answer of a value, which this node then gives to no other question.

        Parameters
        ----------
        question : Question
            What is asked.
        value : Any
            The result, after rules and filters.
        own : mapping, optional
            How statistics of the analysis's own classes add up, which are not looked into.

        Raises
        ------
        DataError
            The value has not what is declared.
        NodeFailedError
            It has no place on its grid, or was asked for before, and differently.
        """

        def masked(keys_for: KeysFor) -> bytes:
            parties = len(question.roster.entries)
            answer = lay_out(question.declared, value, parties, question.known, own)
            fields = fields_of(question.declared, answer.forms)
            # With what the value is made of, not as the server declares it: two nodes that lay
            # out different things have different masks.
            context = self._context(
                question.kind,
                question.number,
                question.roster,
                declaration_bytes(fields),
                question.aggregate,
            )
            mask_in_place(runs_of(fields, answer.words), keys_for(context))
            return answer.to_bytes()

        return self._session.answer(question.number, question.kind, question.digest, masked)

    def _take(self, roster: Roster, analyzers: Any) -> None:
        try:
            names = json.loads(analyzers)
        except (TypeError, ValueError, RecursionError):
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise refused("the message does not say who takes part")
        rules = self._rules
        self._session.take(
            roster,
            lambda own: roster.check(
                own, rules.peers, names, fewest=rules.fewest, only_with=rules.only_with
            ),
        )

    def _context(
        self, kind: Kind, number: int, roster: Roster, declaration: bytes, aggregate: bytes
    ) -> bytes:
        return context_of(roster, kind, number, self._app, self._run_config, declaration, aggregate)


def _checked_config(kind: Kind, config: Mapping[str, Any], session: str) -> int:
    """Return the round that is asked for, after a check of all that is said beside it."""
    if odd := sorted(map(str, config.keys() - KEYS)):
        raise refused(
            f"the message says {', '.join(odd)}, and other nodes might be told something else: "
            "leave out train_config, evaluate_config and what a strategy adds to messages"
        )
    number, after = config.get("round"), config.get("after")
    if type(number) is not int or not 0 < number < 2**31 or config.get("session") != session:
        raise refused("the message asks for no round of the session")
    # It chooses the state that an analyzer goes on from: an older one would repeat a round here.
    if type(after) is not int or after != (number - 1 if kind == "train" else number):
        raise refused(f"round {number} is to go on after round {after}")
    if not isinstance(config.get("sums"), str):
        raise refused("the message does not say what is summed")
    return number


def _sums(text: str) -> tuple[SecureDeclaration, list[Any] | None, str]:
    try:
        said = json.loads(text)
        declared, known = SecureDeclaration.from_text(said["declared"]), said["forms"]
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        raise refused("what is summed cannot be read") from error
    if known is not None:
        fields_of(declared, known)  # raises where they are no forms of it
    return declared, known, text
