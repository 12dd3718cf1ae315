"""The arguments that an app makes its models and ClientApps with, read from its text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flame_flwr.node.app_names import AppNames

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["POSITIONAL", "ModelCall", "model_calls", "shown_value"]

_MODEL = (
    *("analyzer", "aggregator", "data_type", "query", "simple_analysis", "output_type"),
    *("multiple_results", "analyzer_kwargs", "aggregator_kwargs", "filename"),
)
POSITIONAL = {
    "StarModel": _MODEL,
    "StarLocalDPModel": _MODEL,
    "StarModelTester": (
        *("data_splits", "analyzer", "aggregator", "data_type", "node_roles", "query"),
        *("simple_analysis", "output_type", "multiple_results", "analyzer_kwargs"),
        *("aggregator_kwargs", "epsilon", "sensitivity", "result_filepath", "filename"),
    ),
    "NodePlan": (
        *("analyzer", "analyzer_kwargs", "data_type", "query", "allow_pickle", "disclosure"),
        *("filters", "expects", "secure", "subject", "columns"),
    ),
    "make_client_app": ("plan", "client", "mods"),
}
"""What a model is made with where the text names no keys, in this order."""

_RUNS = ("analyzer", "client", "mods")


@dataclass(frozen=True)
class ModelCall:
    """A place where an app makes a model or a ClientApp.

    Parameters
    ----------
    path : str
        The file.
    line : int
        In there.
    name : str
        What is called, as it is called where it comes from.
    arguments : tuple of (str, str, expr)
        Key, the file in which the value stands, and the value. A ``**`` that cannot be followed has
        that as its key.
    """

    path: str
    line: int
    name: str
    arguments: tuple[tuple[str, str, ast.expr], ...]

    def runs(self) -> Iterator[tuple[str, ast.expr]]:
        """Yield what of it runs at a node: analyzer, client and mods, each with its file."""
        for key, path, value in self.arguments:
            if key in _RUNS:
                several = isinstance(value, ast.List | ast.Tuple)
                yield from ((path, each) for each in (value.elts if several else [value]))  # type: ignore[attr-defined]


def model_calls(modules: Mapping[str, ast.Module], names: AppNames) -> list[ModelCall]:
    """Return all places where an app makes a model or a ClientApp."""
    found = []
    for path, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = names.original(path, node.func)
                if name in POSITIONAL:
                    given = tuple(_arguments(path, name, node, names))
                    found.append(ModelCall(path, node.lineno, name, given))
    return found


def shown_value(path: str, value: ast.expr, names: AppNames) -> str:
    """Return a value as it is written; where that is a name, also what the name stands for."""
    text = ast.unparse(value)
    found = names.follow(path, value.id) if isinstance(value, ast.Name) else None
    if found is None or not isinstance(found[1], ast.expr):
        return text
    return f"{text}, which is {ast.unparse(found[1])}"


def _arguments(
    path: str, name: str, call: ast.Call, names: AppNames
) -> Iterator[tuple[str, str, ast.expr]]:
    keys = POSITIONAL[name]
    for number, value in enumerate(call.args):
        starred = isinstance(value, ast.Starred) or number >= len(keys)
        yield ("*" if starred else keys[number]), path, value
    for keyword in call.keywords:
        if keyword.arg is None:
            yield from _entries(path, keyword.value, names, ())
        else:
            yield keyword.arg, path, keyword.value


def _entries(
    path: str, value: ast.expr, names: AppNames, seen: tuple[ast.expr, ...]
) -> Iterator[tuple[str, str, ast.expr]]:
    """Yield the entries of a dict that stands for arguments, also by name and of others in it."""
    found = names.follow(path, value.id) if isinstance(value, ast.Name) else (path, value)
    place, source = found or ("", None)
    if source in seen:  # a dict that has itself in it
        yield "**", path, value
    elif isinstance(source, ast.Dict):
        for key, each in zip(source.keys, source.values, strict=True):
            if key is None:
                yield from _entries(place, each, names, (*seen, source))
            else:
                named = isinstance(key, ast.Constant) and isinstance(key.value, str)
                yield (key.value if named else ast.unparse(key)), place, each  # type: ignore[attr-defined]
    elif isinstance(source, ast.Call) and names.original(place, source.func) == "dict":
        for keyword in source.keywords:
            if keyword.arg is None:
                yield from _entries(place, keyword.value, names, (*seen, source))
            else:
                yield keyword.arg, place, keyword.value
    else:
        yield "**", path, value
