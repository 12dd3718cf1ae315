"""``RunSums``: the secure sums of one run, at the server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ModelError, NodeFailedError
from flame_flwr.flower import runtime
from flame_flwr.privacy.secure.encoding import PROTOCOL
from flame_flwr.privacy.secure.grid_round import GridRound
from flame_flwr.privacy.secure.identities import fingerprint
from flame_flwr.privacy.secure.roster import FEWEST, Roster

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flame_flwr.aggregation.grid import Grid
    from flame_flwr.aggregation.reductions.tree import Tree
    from flame_flwr.privacy.secure.declaration import SecureDeclaration
    from flame_flwr.transport.greeting import Greeting

__all__ = ["RunSums"]


class RunSums:
    """What is summed in each round of a run, and the forms that its answers have had.

    Parameters
    ----------
    nodes : sequence of str
        All nodes, in participant order.
    masked : bool
        Whether the nodes' parts are masked; otherwise they are added up on the same grid.
    declared : callable
        Gives what is summed in a round, by its number.
    scores : tuple of Tree and SecureDeclaration, optional
        How the numbers of ``evaluation_method`` are merged, and what is summed of them.
    """

    def __init__(
        self,
        nodes: Sequence[str],
        masked: bool,
        declared: Callable[[int], SecureDeclaration],
        scores: tuple[Tree, SecureDeclaration] | None = None,
    ) -> None:
        self.masked = masked
        self._nodes = tuple(nodes)
        self._declared = declared
        self._scores = scores
        self._forms: dict[str, list[Any]] = {}
        self._roster: Roster | None = None
        self._fields: dict[str, Grid] = {}
        self._made_up = False
        self._masked_by: dict[str, str] = {}

    def take(self, session: str, greetings: Sequence[Greeting]) -> None:
        """Have the nodes that said hello be the ones that sum together.

        Raises
        ------
        NodeFailedError
            They cannot; the message says why.
        ModelError
            The nodes evaluate, and it is not declared how their numbers are merged.
        """
        if self._scores is None and any(greeting.evaluates for greeting in greetings):
            raise ModelError(
                "secure sums: the numbers of evaluation_method would leave each node by "
                "themselves: declare how they are merged, score_sums={'auc': "
                "WeightedMean('n_test')}, in the strategy, or leave the method out"
            )
        entries = [g.secure for g in greetings if g.failure is None and g.secure is not None]
        lacking = [g.name for g in greetings if g.secure is None]
        if lacking:
            raise NodeFailedError(
                f"secure sums: {', '.join(lacking)} said no key for them: upgrade flame-flwr there"
            )
        # Too few are refused by each node, too: no server is trusted with that.
        if len(entries) < FEWEST:
            raise NodeFailedError(
                f"secure sums need {FEWEST} nodes or more, and here are {len(entries)}: of two, "
                "each would know the other's part"
            )
        self._roster = Roster.of(session, entries)
        self._masked_by = {
            g.name: "the node" if g.gated else "the app's process"
            for g in greetings
            if g.failure is None
        }
        simulated = any(greeting.partitions for greeting in greetings)
        self._made_up = simulated or runtime() == "process"

    def said(self, number: int | None, *, first: bool) -> dict[str, str]:
        """Return what the messages of a round, or of the evaluation, say of the sums.

        Parameters
        ----------
        number : int or None
            The round.
        first : bool
            Whether it is the node's first of a run, which brings the roster.
        """
        if self._roster is None:
            return {}
        declared = self.declared(number).to_text()
        sums = json.dumps({"declared": declared, "forms": self._forms.get(declared)})
        return {"sums": sums} | ({"roster": self._roster.to_text()} if first else {})

    def about(self) -> dict[str, Any]:
        """Return what ``run.json`` says of them."""
        about: dict[str, Any] = {
            "masked": self.masked,
            "grids": {key: [grid.bits, grid.exponent] for key, grid in self._fields.items()},
        }
        if self._roster is None:
            return about
        return about | {
            "protocol": PROTOCOL,
            "roster": {e.name: fingerprint(e.identity) for e in self._roster.entries},
            "identities": "made up for this run" if self._made_up else "the hospitals' own",
            "masked by": self._masked_by,
            "in clear": [
                "names",
                "keys, shapes and types of the answers",
                "labels and edges of statistics",
                "numbers of bytes",
                "what hello says: versions, and what is unexpected in the data",
            ],
        }

    @property
    def merges_scores(self) -> bool:
        """Whether it is declared how scores are merged."""
        return self._scores is not None

    def declared(self, number: int | None) -> SecureDeclaration:
        """Return what is summed in a round, or of scores, where there is no number."""
        if number is not None:
            return self._declared(number)
        assert self._scores is not None
        return self._scores[1]

    def begin(self, number: int, tree: Tree | None = None) -> GridRound:
        """Return what adds up the answers: of a round, if there is a tree, or the evaluation."""
        declared = self.declared(None if tree is None else number)
        if tree is None:
            assert self._scores is not None
            tree = self._scores[0]
        known = self._forms.get(declared.to_text())
        return GridRound(number, self._nodes, tree, declared, known, masked=self.masked)

    def close(self, number: int | None, added: GridRound) -> None:
        """Keep the forms of answers: those of later ones must be the same."""
        self._forms.setdefault(self.declared(number).to_text(), added.forms)
        of = "scores." if number is None else ""
        # the first field counts the nodes, and is no sum that anybody has declared
        self._fields |= {of + field.key: field.grid for field in added.fields[1:]}

    def save(self) -> str:
        """Return what a run needs that goes on with this one."""
        return json.dumps(self._forms)

    def load(self, saved: str) -> None:
        """Go on with what :meth:`save` returned."""
        self._forms = json.loads(saved)
