"""The environment in which a FLAME script runs: the `flame` package, and the models it builds.

Within :meth:`ScriptEnvironment.entered` the script is ``__main__``, ``flame`` and ``flame.star``
are this framework's API, and the modules beside the script can be imported. Afterwards Python's own
state is as before. This module runs no analysis: that is :mod:`flame_flwr.script.runner`.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import threading
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import FlameError
from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


__all__ = ["ScriptEnvironment", "ScriptError"]

_ENTERED = threading.RLock()
"""Held while a script's environment is entered: ``sys.modules`` is one for all threads."""

_SPAWNED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spawned")
"""Where processes that the script starts find ``flame``."""


class ScriptError(FlameError, RuntimeError):
    """A script cannot be run as it is; the message says why and what to change."""


class ScriptEnvironment:
    """A script's own ``__main__``, helper modules, ``sys.path`` and ``sys.argv``.

    Parameters
    ----------
    path : Path
        The script, absolute.
    arguments : sequence of str
        What follows it in ``sys.argv``.

    Attributes
    ----------
    main : ModuleType
        The script as a module, ``__main__`` while the environment is entered.
    folder : Path
        Where the script stands; of a link, where it leads to, as with ``python``.
    roots : list of str
        This folder, and what the script added to ``sys.path``.

    Notes
    -----
    A module ``flame`` that stands beside the script is not used, and a warning says so.
    """

    def __init__(self, path: Path, arguments: Sequence[str] = ()) -> None:
        self.path = path
        self.arguments = tuple(arguments)
        self.folder = path.resolve().parent
        self.roots = [str(self.folder)]
        self.main = ModuleType("__main__")
        self.main.__file__ = str(path)
        self.main.__loader__ = SourceFileLoader("__main__", str(path))
        self._modules: dict[str, ModuleType] = {"__main__": self.main, **_flame()}
        self._beside = _names_in(self.folder)
        if self._beside.get("flame"):
            logger.warning(
                "the module `flame` beside %s is not used: `flame.star` is flame-flwr's", path.name
            )

    def helpers(self) -> list[str]:
        """Return the top-level names of the modules that the script imported from its roots."""
        return sorted(self._tops() - {"__main__", "flame"})

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Enter the script's environment for the block, and restore Python's own state afterwards.

        Modules that the script imported from its folder stay with it, for the next time; those
        of installed packages stay in ``sys.modules``. Within the block the same thread may enter
        another environment.

        Raises
        ------
        ScriptError
            Another thread has entered a script's environment.
        """
        # Waiting would deadlock a script that waits for a thread of its own which runs another.
        if not _ENTERED.acquire(blocking=False):
            raise ScriptError(
                "another thread of this process runs a script: run scripts one after another, or "
                "in processes of their own"
            )
        modules, path, argv = dict(sys.modules), sys.path, sys.argv
        try:
            self._enter()
            around = set(sys.modules) - set(self._modules)
            try:
                yield
            finally:
                self._leave(around, path)
        finally:
            # What was hidden comes back; what was imported meanwhile from elsewhere stays.
            sys.modules.update(modules)
            sys.path, sys.argv = path, argv
            _ENTERED.release()

    def _enter(self) -> None:
        hidden = {name for name in self._beside if self._is_elsewhere(name)} | {"flame"}
        for name in list(sys.modules):
            if _top(name) in hidden:
                del sys.modules[name]
        sys.modules.update(self._modules)
        # As with `python`, the script's folder comes first, unless a `flame` there would win.
        ahead = [_SPAWNED, *self.roots] if "flame" in self._beside else [*self.roots, _SPAWNED]
        sys.path = [*ahead, *sys.path]
        sys.argv = [str(self.path), *self.arguments]
        importlib.invalidate_caches()  # modules may have been written since Python last looked

    def _leave(self, around: set[str], path: list[str]) -> None:
        """Take along what the script imported from its roots and added to ``sys.path``."""
        known = (*path, *self.roots, _SPAWNED)
        self.roots += [entry for entry in sys.path if entry not in known]
        roots = {os.path.realpath(root) for root in self.roots}
        mine = self._tops()
        for name in set(sys.modules) - around:
            # Installed packages are not the script's: compiled ones cannot be imported twice.
            top = _top(name)
            if top in mine or (top not in around and _homes(sys.modules.get(top)) & roots):
                self._modules[name] = sys.modules[name]
        for name in self._modules:
            sys.modules.pop(name, None)

    def _tops(self) -> set[str]:
        return {_top(name) for name in self._modules}

    def _is_elsewhere(self, name: str) -> bool:
        """Tell whether a module of this name was imported before, from elsewhere."""
        module = sys.modules.get(name)
        if module is None or name in sys.stdlib_module_names or name in ("flame_flwr", "flwr"):
            return False
        if not self._beside[name] and getattr(module, "__file__", None):
            return False  # a folder without __init__.py does not come before a package
        return str(self.folder) not in _homes(module)


def _flame() -> dict[str, ModuleType]:
    """Return new modules ``flame`` and ``flame.star``, with the names of :mod:`flame_flwr.star`."""
    api = importlib.import_module("flame_flwr.star")
    flame = ModuleType("flame", "FLAME's package, as far as a STAR analysis has it.")
    star = ModuleType("flame.star", api.__doc__)
    for module in (flame, star):
        # A package without a path: importing another part of it says that there is none.
        module.__spec__ = ModuleSpec(module.__name__, None, is_package=True)
        module.__path__ = []

    def attribute(name: str) -> Any:
        if name in api.__all__:
            return getattr(api, name)
        raise AttributeError(f"flame.star has no {name!r}; it has {', '.join(api.__all__)}")

    vars(star).update(__getattr__=attribute, __all__=list(api.__all__))
    vars(flame).update(star=star, __all__=["star"])
    return {"flame": flame, "flame.star": star}


def _top(name: str) -> str:
    return name.partition(".")[0]


def _names_in(folder: Path) -> dict[str, bool]:
    """Return what can be imported from a folder, and whether it is more than a plain folder."""
    folders = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    plain = dict.fromkeys(filter(str.isidentifier, folders), False)
    return plain | {module.name: True for module in pkgutil.iter_modules([str(folder)])}


def _homes(module: ModuleType | None) -> set[str]:
    """Return the folder in which a top-level module stands; of a namespace package, several."""
    file = getattr(module, "__file__", None)
    try:
        places = list(getattr(module, "__path__", ())) or [file]
    except Exception:
        places = [file]
    return {os.path.dirname(os.path.realpath(place)) for place in places if isinstance(place, str)}
