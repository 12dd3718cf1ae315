"""Tells whoever runs a script which models and testers the script builds."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flame_flwr.processes.run_reminder import built

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from flame_flwr.analysis.model import StarModel
    from flame_flwr.strategies.declaration import Declaration

__all__ = ["Listener", "announce", "declaring", "listening", "tester_may_run"]

_FROZEN_IMPORT = "<frozen importlib._bootstrap>"


class Listener:
    """Learns what a script builds; subclasses override what they need. Here nothing is done."""

    def model_built(self, model: StarModel, *, importing: bool) -> None:
        """Learn of a ``StarModel`` that is complete.

        Parameters
        ----------
        model : StarModel
            The model.
        importing : bool
            A module builds it while it is being imported, and not the script itself.
        """

    def tester_built(self, declaration: Declaration, splits: Sequence[Any]) -> bool:
        """Learn of a ``StarModelTester`` that is declared, and say whether it may run."""
        return True

    def declared_wrongly(self, error: Exception) -> None:
        """Learn that a declaration was refused, and why."""


_LISTENERS: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell this listener, and no other, of what is built within the block."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


def announce(model: StarModel) -> None:
    """Tell the listener that a model is complete; without one, note it for the reminder at exit."""
    if _LISTENERS:
        _LISTENERS[-1].model_built(model, importing=_importing())
    else:
        built(model.plan.data_type)


@contextmanager
def declaring() -> Iterator[None]:
    """Tell the listener of an error in the block, in which a declaration is checked."""
    try:
        yield
    except Exception as error:
        if _LISTENERS:
            _LISTENERS[-1].declared_wrongly(error)
        raise


def tester_may_run(declaration: Declaration, splits: Sequence[Any]) -> bool:
    """Ask the listener whether a tester may run. Outside a script it always may."""
    return not _LISTENERS or _LISTENERS[-1].tester_built(declaration, splits)


def _importing() -> bool:
    """Tell whether a module that is being imported builds the model, and not the script itself."""
    main = sys.modules.get("__main__")
    frame: FrameType | None = sys._getframe(1)
    # From here outwards: either the script's own code calls, or Python's import machinery does.
    while frame is not None and frame.f_globals is not vars(main):
        if frame.f_code.co_filename == _FROZEN_IMPORT:
            return True
        frame = frame.f_back
    return False
