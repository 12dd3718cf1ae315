"""An analysis as it is declared: the one description that nodes, server and files are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.results.formatting import shown_arguments, shown_settings
from flame_flwr.results.heading import Heading
from flame_flwr.text.words import arguments_in_words, name_in_words, value_in_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from flame_flwr.clients import StarClient
    from flame_flwr.clients.node import NodePlan
    from flame_flwr.privacy import Laplace
    from flame_flwr.results import Outputs, RunRecord
    from flame_flwr.strategies.star_strategy import StarStrategy

__all__ = ["Declaration"]


@dataclass(frozen=True, slots=True)
class Declaration:
    """An analysis, checked: made once, by :func:`flame_flwr.analysis.declare.declare`.

    Parameters
    ----------
    plan : NodePlan
        What every node needs to know of it.
    strategy : callable
        Gives a new strategy for a run.
    outputs : Outputs
        The final files.
    simple_analysis : bool
        One round and no more, where the strategy itself does not say.
    privacy : Laplace, optional
        Noises the final result. Then nothing exact is written, also not after a failure.
    shown : tuple of str, optional
        The metrics and scores that are shown, by name; all of them without it.
    client : type of StarClient, optional
        A user's own.
    heading : Heading
        Title, question and authors, for the report.
    """

    plan: NodePlan
    strategy: Callable[[], StarStrategy]
    outputs: Outputs
    simple_analysis: bool = True
    privacy: Laplace | None = None
    shown: tuple[str, ...] | None = None
    client: type[StarClient] | None = None
    heading: Heading = field(default_factory=Heading)

    def new_record(self, app: str = "") -> RunRecord:
        """Return the record of a run that begins.

        Parameters
        ----------
        app : str
            Flower's id and version of the app; empty in this process.
        """
        from flame_flwr.results import RunRecord

        private = None if self.privacy is None else self.privacy.about()
        return RunRecord(
            privacy=private,
            shown=self.shown,
            app=app,
            study=self.about(),
            in_words=self.in_words(),
            heading=self.heading,
        )

    def about(self) -> dict[str, str]:
        """Return what there is to know of the study, as text: for ``run.json`` and the report."""
        plan = self.plan
        about: dict[str, Any] = {
            "analyzer": plan.analyzer.__name__,
            "analyzer arguments": shown_arguments(plan.analyzer_kwargs),
            "data": plan.data_type,
            "query": shown_settings(plan.query) if plan.query else "",
            "people by": plan.subject,
        }
        for name in ("filters", "disclosure", "expects"):
            about[name] = ", ".join(shown_settings(each) for each in getattr(plan, name))
        about["columns"] = ", ".join(plan.columns)
        if self.shown is not None:
            about["shown"] = ", ".join(self.shown) or "no metrics and no scores"
        return {name: text for name, text in about.items() if text}

    def in_words(self) -> dict[str, str]:
        """Return the same for readers who write no Python, by the same names."""
        plan, words = self.plan, self.about()
        words["analyzer"] = name_in_words(words["analyzer"])
        if plan.analyzer_kwargs:
            words["analyzer arguments"] = arguments_in_words(plan.analyzer_kwargs)
        if plan.query:
            words["query"] = value_in_words(plan.query)
        for name in ("filters", "disclosure", "expects"):
            if name in words:
                words[name] = "; ".join(each.in_words() for each in getattr(plan, name))
        return words
