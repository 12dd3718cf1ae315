"""``Described``: the base of what is described once, and gives an analyzer and a strategy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ModelError

if TYPE_CHECKING:
    from flame_flwr.analysis.model import StarModel
    from flame_flwr.analysis.tester import StarModelTester
    from flame_flwr.star.nodes import StarAnalyzer
    from flame_flwr.strategies.reduce_strategy import ReduceStrategy

__all__ = ["Described", "Outputs", "check_names"]

Outputs = Sequence[tuple[str, str, Callable[[Any], Any]]]
"""Files: name, type, and what makes one of the result."""


def check_names(**columns: Any) -> None:
    """Refuse what is no name of a column.

    Raises
    ------
    ModelError
        One of them is neither a text nor ``None``.
    """
    for argument, name in columns.items():
        if name is not None and not isinstance(name, str):
            raise ModelError(f"{argument} must be the name of a column, not {name!r}")


class Described(ABC):
    """What every study offers; subclasses are frozen dataclasses."""

    @property
    @abstractmethod
    def analyzer(self) -> type[StarAnalyzer]:
        """The class that runs on every node; subclass it as any other."""

    @property
    @abstractmethod
    def files(self) -> Outputs:
        """The files that its model writes."""

    @abstractmethod
    def make_strategy(self, outputs: Outputs = ()) -> ReduceStrategy:
        """Return a new strategy, which writes these files."""

    @property
    def strategy(self) -> ReduceStrategy:
        """A new strategy, which gives the result and writes no files."""
        return self.make_strategy()

    def model(self, data_type: str = "s3", **more: Any) -> StarModel:
        """Return the model whose apps run on Flower, and which writes the study's files.

        Parameters
        ----------
        data_type : str
            As for :class:`~flame_flwr.star.StarModel`.
        **more
            Others of its parameters, such as ``disclosure`` and ``secure``.
        """
        from flame_flwr.analysis.model import StarModel

        return StarModel(self.analyzer, self.make_strategy(self.files), data_type, **more)

    def test(self, splits: Sequence[Any], data_type: str = "s3", **more: Any) -> StarModelTester:
        """Run it in this process, a node for every split; its ``result`` is the study's.

        Parameters
        ----------
        splits : sequence
            A DataFrame for each node, or what ``table`` makes one of.
        data_type : str
            As for :class:`~flame_flwr.star.StarModelTester`.
        **more
            Others of its parameters.
        """
        from flame_flwr.analysis.tester import StarModelTester

        return StarModelTester(splits, self.analyzer, self.strategy, data_type, **more)
