"""Who is told what models and testers are built: whoever runs a script is."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flame_flwr.run_reminder import built

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from flame_flwr.analysis.model import StarModel

__all__ = ["Listener", "announce", "declaring", "listening", "tester_may_run"]

_FROZEN_IMPORT = "<frozen importlib._bootstrap>"


class Listener:
    """Whoever runs a script is told here what the script builds. The hooks do nothing."""

    def model_built(self, model: StarModel, *, importing: bool) -> None:
        """Take a ``StarModel`` whose construction is complete.

        Parameters
        ----------
        model : StarModel
            The model.
        importing : bool
            A module builds it while it is being imported, and not the script itself.
        """

    def tester_built(self) -> bool:
        """Say whether a ``StarModelTester`` may run."""
        return True

    def declared_wrongly(self, error: Exception) -> None:
        """Take why a model or tester is none."""


_LISTENERS: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let `listener` know of what is built within the block; others do not hear of it."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


def announce(model: StarModel) -> None:
    """Tell who is listening that a model is complete; where nobody is, it is only noted."""
    if _LISTENERS:
        _LISTENERS[-1].model_built(model, importing=_importing())
    else:
        built(model.plan.data_type)


@contextmanager
def declaring() -> Iterator[None]:
    """Tell who is listening of an error in the block, where a declaration is checked."""
    try:
        yield
    except Exception as error:
        if _LISTENERS:
            _LISTENERS[-1].declared_wrongly(error)
        raise


def tester_may_run() -> bool:
    """Ask who is listening whether a tester may run. Outside a script it always may."""
    return not _LISTENERS or _LISTENERS[-1].tester_built()


def _importing() -> bool:
    """Tell whether an import under way calls into the framework, and not the script's own code."""
    main = sys.modules.get("__main__")
    frame: FrameType | None = sys._getframe(1)
    # From here outwards: either the script's own code calls, or Python's import machinery does.
    while frame is not None and frame.f_globals is not vars(main):
        if frame.f_code.co_filename == _FROZEN_IMPORT:
            return True
        frame = frame.f_back
    return False
