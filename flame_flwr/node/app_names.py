"""What names stand for in an app's text: followed within the app, and nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cached_property

__all__ = ["AppNames", "last_name", "statements_of"]

_MOST_STEPS = 20

Bound = ast.expr | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
"""What a name is bound to: a value, a class or a function."""


class AppNames:
    r"""The names in an app's modules.

    Parameters
    ----------
    modules : mapping of str to ast.Module
        By path, as they lie in the app's archive.

    Examples
    --------
    >>> app = ast.parse("from flame_flwr.clients import NodePlan as P\nPlan = P")
    >>> AppNames({"app.py": app}).original("app.py", ast.Name("Plan"))
    'NodePlan'
    """

    def __init__(self, modules: Mapping[str, ast.Module]) -> None:
        self._modules = modules

    def follow(self, path: str, name: str) -> tuple[str, Bound] | None:
        """Return where in the app a module's name gets its value, and that value."""
        for _ in range(_MOST_STEPS):  # two modules can import a name from each other
            if (bound := self._bound.get(path, {}).get(name)) is not None:
                if not isinstance(bound, ast.Name) or bound.id == name:
                    return path, bound
                name = bound.id
            elif (imported := self._imported.get(path, {}).get(name)) is not None:
                path, name = imported
            else:
                return None
        return None

    def original(self, path: str, node: ast.expr) -> str:
        """Return what a name is called where it comes from, ``c`` of ``a.b.c``."""
        name = last_name(node)
        for _ in range(_MOST_STEPS):
            bound = self._bound.get(path, {}).get(name)
            if isinstance(bound, ast.Name | ast.Attribute) and last_name(bound) != name:
                name = last_name(bound)
            elif bound is None and (imported := self._imported.get(path, {}).get(name)):
                path, name = imported
            else:
                break
        return name

    @cached_property
    def _bound(self) -> dict[str, dict[str, Bound]]:
        return {path: dict(_bindings(tree)) for path, tree in self._modules.items()}

    @cached_property
    def _imported(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Return by path and name from which path a name is imported, and what it is called there.

        The path is empty where it is no module of the app's.
        """
        found: dict[str, dict[str, tuple[str, str]]] = {}
        for path, tree in self._modules.items():
            own = found[path] = {}
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom):
                    source = self._path_of(path, node)
                    for alias in node.names:
                        own[alias.asname or alias.name] = (source, alias.name)
        return found

    def _path_of(self, path: str, node: ast.ImportFrom) -> str:
        folders = path.split("/")[:-1]
        above = folders[: len(folders) - node.level + 1] if node.level else []
        module = "/".join([*above, *(node.module or "").split(".")]).strip("/")
        own = (f"{module}.py", f"{module}/__init__.py".lstrip("/"))
        return next((each for each in own if each in self._modules), "")


def last_name(node: ast.AST) -> str:
    """Return the last part of a name with dots, ``c`` of ``a.b.c``; ``''`` of anything else."""
    if isinstance(node, ast.Subscript):  # a generic class
        return last_name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def statements_of(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield what runs when a module is imported, also below ``if``, ``with`` and ``try``."""
    for node in body:
        yield node
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ("body", "orelse", "finalbody"):
                yield from statements_of(getattr(node, inner, []))
            for handler in getattr(node, "handlers", []):
                yield from statements_of(handler.body)


def _bindings(tree: ast.Module) -> Iterator[tuple[str, Bound]]:
    for node in statements_of(tree.body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
        elif isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
            yield node.target.id, node.value
