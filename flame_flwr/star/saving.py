"""Saving an analyzer or aggregator by its attributes, for another process to go on with.

Handle and class are the new process's own, also where the class has moved. The bytes are a
pickle: they stay where they were made, on the node or on the server's host.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ModelError, text_of

if TYPE_CHECKING:
    from flame_flwr.star.handle import FlameHandle
    from flame_flwr.star.nodes import StarNode

__all__ = ["load", "save"]


def save(instance: StarNode, flame: FlameHandle, with_it: Any = None) -> bytes:
    """Return an instance's attributes, its progress and what goes with it.

    Parameters
    ----------
    instance : StarNode
        An analyzer or aggregator.
    flame : FlameHandle
        Its handle.
    with_it : Any
        Anything that belongs to it, and may hold it.

    Raises
    ------
    ModelError
        An attribute cannot be pickled; the message names it.
    """
    try:
        return _pickled((instance, with_it, flame.get_progress()), instance, flame)
    except Exception as error:
        raise _unsaved(instance, flame, error) from error


def load(data: bytes, cls: type[Any], flame: FlameHandle) -> tuple[Any, Any]:
    """Return the instance, of this class and with this handle, and what was saved with it.

    Raises
    ------
    Exception
        Whatever unpickling raises for bytes of another version of the analysis.
    """
    instance, with_it, progress = _Unpickler(io.BytesIO(data), cls, flame).load()
    flame.set_progress(progress)
    return instance, with_it


class _Pickler(pickle.Pickler):
    """Pickles an instance by its attributes: handle and class are the new process's own."""

    def __init__(
        self, file: io.BytesIO, instance: StarNode, flame: FlameHandle, *, parts: bool
    ) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._known = {id(flame): "flame", id(type(instance)): "class"}
        others = getattr(instance, "partner_node_ids", None)
        if others and others == flame.get_participant_ids():
            self._known[id(others)] = "others"  # there may be a thousand, and the handle has them
        if parts:
            self._known[id(instance)] = "itself"

    def persistent_id(self, obj: Any) -> str | None:
        return self._known.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, cls: type[Any], flame: FlameHandle) -> None:
        super().__init__(file)
        self._cls = cls
        self._flame = flame
        self._others = flame.get_participant_ids()

    def persistent_load(self, pid: str) -> Any:
        return {"flame": self._flame, "class": self._cls, "others": self._others}[pid]


def _pickled(value: Any, instance: StarNode, flame: FlameHandle, *, parts: bool = False) -> bytes:
    file = io.BytesIO()
    _Pickler(file, instance, flame, parts=parts).dump(value)
    return file.getvalue()


def _unsaved(instance: StarNode, flame: FlameHandle, error: Exception) -> ModelError:
    own = "analysis_method" if hasattr(instance, "analysis_method") else "aggregation_method"
    for name, value in _attributes(instance).items():
        try:
            _pickled(value, instance, flame, parts=True)
        except Exception as cause:
            return ModelError(
                f"the attribute {name!r} of {type(instance).__name__} ({type(value).__name__}) "
                f"cannot be saved for the next round; make it anew in {own}",
                detail=f"{type(cause).__name__}: {text_of(cause)}",
            )
    return ModelError(
        f"{type(instance).__name__} cannot be saved for the next round",
        detail=f"{type(error).__name__}: {text_of(error)}",
    )


def _attributes(instance: StarNode) -> dict[str, Any]:
    """Return what pickling takes of an instance: its ``__dict__``, slots, or its own choice."""
    kept = instance.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    state = kept[2] if isinstance(kept, tuple) and len(kept) > 2 else None
    parts = state if isinstance(state, tuple) else (state,)
    return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}
