"""A function as a node's data, for synthetic ones."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flame_flwr.data.chosen_keys import select
from flame_flwr.data.source import NODE_OPTION, DataKind
from flame_flwr.data.table_query import TableQuery
from flame_flwr.errors import DataError, text_of

if TYPE_CHECKING:
    from flwr.app import Context

__all__ = ["FunctionSource"]


class FunctionSource:
    """What a function returns, called with Flower's ``Context``: for synthetic data.

    Parameters
    ----------
    reference : str
        ``package.module:function``.
    context : Context
        The node's; ``context.node_config["partition-id"]`` tells simulated nodes apart.
    name : str
        How messages call the source.
    option : str
        What the user names it with, for messages.
    """

    type = "function"

    def __init__(
        self, reference: str, context: Context, name: str, option: str = NODE_OPTION
    ) -> None:
        self.reference = reference
        self.name = name
        self.option = option
        self._context = context

    def check(self, kind: DataKind = "s3", keys: Sequence[str] = ()) -> None:
        """Raise :class:`DataError` if there is no such function."""
        self._function()

    def read(self, kind: DataKind, keys: list[str]) -> Any:
        """Call the function. Of a mapping, only `keys` are kept; no keys means every one."""
        value = self._function()(self._context)
        if not isinstance(value, Mapping):
            return value
        if kind == "sql":
            return TableQuery.read(keys).frames(value, self.name)
        return select(value, keys, self.name)

    def _function(self) -> Callable[[Context], Any]:
        module, _, attribute = self.reference.partition(":")
        try:
            function: Callable[[Context], Any] = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise DataError(
                f"{self.name}: the function that {self.option} names cannot be imported",
                detail=f"{self.reference}: {text_of(error)}",
            ) from error
        if not callable(function):
            raise DataError(
                f"{self.name}: what {self.option} names is not a function", detail=self.reference
            )
        return function
