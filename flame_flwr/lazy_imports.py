"""Names of a package that are imported when somebody asks for them.

On a deployment every message is a new process, and imports are what it costs: a package names all
that it offers, and a process loads only what it uses.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["lazy_exports"]


def lazy_exports(
    package: str, homes: Mapping[str, Iterable[str]]
) -> tuple[list[str], Callable[[], list[str]], Callable[[str], Any]]:
    """Return a package's ``__all__``, ``__dir__`` and ``__getattr__``.

    Type checkers look at imports below ``if TYPE_CHECKING``, each with ``as`` and its own name, for
    what is offered; ``tests/unit/test_public_surface.py`` holds these and `homes` together.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : dict of str to iterable of str
        By module, which names are there; a module that begins with a dot is one of the package's.

    Examples
    --------
    >>> names, _, find = lazy_exports("flame_flwr.clients", {".node": ["Node", "NodePlan"]})
    >>> names
    ['Node', 'NodePlan']
    >>> find("Node").__module__
    'flame_flwr.clients.node'
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home_of[name], package), name)
        setattr(sys.modules[package], name, value)  # Python asks once only
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of})

    return sorted(home_of, key=_order), list_names, find


def _order(name: str) -> tuple[int, str]:
    """Put constants first, then classes, then functions, as ruff sorts them."""
    return 0 if name.isupper() else 1 if name[:1].isupper() else 2, name
