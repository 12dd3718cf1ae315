"""Finds state outside of ``self``: module globals, class attributes, random generators.

A new process for every message starts with these as they are after the import. This module tells
which of them a run has changed, so that a finding can name them.
"""

from __future__ import annotations

import hashlib
import inspect
import pickle
import random
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from flame_flwr.user_code.paths import is_user_code

__all__ = ["changed", "snapshot"]


def snapshot(*classes: type[Any] | None, among: Collection[str] | None = None) -> dict[str, str]:
    """Return a digest of everything that user code keeps outside of ``self``, by its name.

    Parameters
    ----------
    *classes : type or None
        The user's; their modules count, and every other loaded module of user code.
    among : collection of str, optional
        The only other modules to look at: one that a run imports first cannot be compared.
    """
    digests = {}
    for name, space in _spaces(classes, among):
        for key, value in list(space.items()):
            if key.startswith("__") or isinstance(value, ModuleType | FunctionType | type):
                continue  # code, which a new process has too
            digests[f"the module global `{key}` of {name}"] = _digest(value)
    for cls in _user_classes(classes, among):
        for key, value in list(vars(cls).items()):
            if not (key.startswith("_abc") or key.startswith("__") or _is_code(value)):
                digests[f"the class attribute `{cls.__name__}.{key}`"] = _digest(value)
    digests["the global generator of `random`"] = _digest(random.getstate())
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and (among is None or "numpy" in among):
        state = numpy.random.get_state(legacy=False)
        digests["the global generator of `numpy.random`"] = _digest(state)
    return digests


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the names of what is new or has changed, in order."""
    return [name for name, digest in after.items() if before.get(name) != digest]


def _spaces(
    classes: tuple[type[Any] | None, ...], among: Collection[str] | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the namespaces of user code, also those of functions without a module."""
    seen: set[int] = set()
    for key, module in list(sys.modules.items()):  # a lazy module may import another meanwhile
        if among is not None and key not in among:
            continue
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and is_user_code(file) and id(vars(module)) not in seen:
            seen.add(id(vars(module)))
            yield Path(file).name, vars(module)
    for cls in classes:
        for base in cls.__mro__ if cls is not None else ():
            for function in vars(base).values():
                space = (
                    getattr(inspect.unwrap(function), "__globals__", None)
                    if callable(function)
                    else None
                )
                if space is not None and id(space) not in seen and _is_users(space, base):
                    seen.add(id(space))
                    yield Path(str(space.get("__file__", base.__module__))).name, space


def _is_users(space: dict[str, Any], cls: type[Any]) -> bool:
    file = space.get("__file__")
    if isinstance(file, str):
        return is_user_code(file)
    return cls.__module__.partition(".")[0] not in sys.stdlib_module_names | {"flame_flwr"}


def _user_classes(
    classes: tuple[type[Any] | None, ...], among: Collection[str] | None
) -> list[type[Any]]:
    found: dict[int, type[Any]] = {}
    for _, space in _spaces(classes, among):
        for value in list(space.values()):
            if isinstance(value, type) and value.__module__ == space.get("__name__"):
                found[id(value)] = value
    for cls in classes:
        for base in cls.__mro__ if cls is not None else ():
            if base.__module__.partition(".")[0] not in ("flame_flwr", "abc", "builtins"):
                found[id(base)] = base
    return list(found.values())


def _is_code(value: Any) -> bool:
    return callable(value) or isinstance(value, property | classmethod | staticmethod)


def _digest(value: Any) -> str:
    """Return a digest; of what cannot be pickled, one that never changes."""
    try:
        return hashlib.sha256(pickle.dumps(value)).hexdigest()
    except Exception:
        return type(value).__name__
