"""Saving an analyzer or aggregator by its attributes, so that another process can go on with it.

Handle and class are the new process's own, also where the class has moved. The bytes hold code,
for cloudpickle takes lambdas and local functions along: they stay where they were made, on the
node or on the server's host, and nothing that travels between parties is ever written so.
"""

from __future__ import annotations

import io
import pickle
import sys
from operator import attrgetter
from types import FunctionType
from typing import TYPE_CHECKING, Any

import cloudpickle

from flame_flwr.errors import ModelError, text_of

if TYPE_CHECKING:
    from flame_flwr.star.handle import FlameHandle
    from flame_flwr.star.nodes import StarNode

__all__ = ["load", "save"]

_HEADER = f"FLAME state 2, Python {sys.version_info.major}.{sys.version_info.minor}\n".encode()
"""What the bytes begin with: another Python must not run the code in them."""


def save(instance: StarNode, flame: FlameHandle) -> bytes:
    """Return an instance's attributes and its progress.

    Parameters
    ----------
    instance : StarNode
        An analyzer or aggregator.
    flame : FlameHandle
        Its handle.

    Raises
    ------
    ModelError
        An attribute cannot be saved; the message names it.
    """
    try:
        return _HEADER + _pickled((instance, flame.get_progress()), instance, flame)
    except Exception as error:
        raise _unsaved(instance, flame, error) from error


def load(data: bytes, cls: type[Any], flame: FlameHandle) -> Any:
    """Return the instance that was saved, of this class and with this handle.

    Raises
    ------
    ModelError
        Another version of Python or of this framework has saved it.
    Exception
        Whatever unpickling raises for bytes of another version of the analysis.
    """
    if not data.startswith(_HEADER):
        raise ModelError(
            "what was saved comes from another version of Python or of flame-flwr and cannot be "
            "read: start the analysis again"
        )
    file = io.BytesIO(data)
    file.seek(len(_HEADER))  # not a slice, which would hold a large model twice
    instance, progress = _Unpickler(file, cls, flame).load()
    flame.set_progress(progress)
    return instance


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    """Pickles an instance by its attributes: handle and class are the new process's own."""

    def __init__(
        self, file: io.BytesIO, instance: StarNode, flame: FlameHandle, *, parts: bool
    ) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        # What the new process has already is named, not copied.
        self._known = {id(flame): "flame", id(type(instance)): "class"}
        others = getattr(instance, "partner_node_ids", None)
        if others and others == flame.get_participant_ids():
            self._known[id(others)] = "others"  # there may be a thousand, and the handle has them
        # One attribute is tried by itself: a bound method in it must not fail for all the others.
        if parts:
            self._known[id(instance)] = "itself"

    def persistent_id(self, obj: Any) -> str | None:
        return self._known.get(id(obj))

    def reducer_override(self, obj: Any) -> Any:
        # cloudpickle would read the file to its end and keep the text, a node's data, in its place.
        if isinstance(obj, io.TextIOWrapper):
            raise pickle.PicklingError("an open file cannot be saved")
        # cloudpickle copies whatever stands in `__main__`. A script's classes are found there in
        # every process, and an instance of a copy would be an instance of none of them.
        if isinstance(obj, type | FunctionType) and _is_in_main(obj):
            return NotImplemented
        return super().reducer_override(obj)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, cls: type[Any], flame: FlameHandle) -> None:
        super().__init__(file)
        self._cls = cls
        self._flame = flame
        self._others = flame.get_participant_ids()

    def persistent_load(self, pid: str) -> Any:
        return {"flame": self._flame, "class": self._cls, "others": self._others}[pid]


def _is_in_main(obj: type | FunctionType) -> bool:
    if obj.__module__ != "__main__":
        return False
    try:
        return attrgetter(obj.__qualname__)(sys.modules["__main__"]) is obj
    except (AttributeError, KeyError):  # a local one's name has `<locals>` in it
        return False


def _pickled(value: Any, instance: StarNode, flame: FlameHandle, *, parts: bool = False) -> bytes:
    file = io.BytesIO()
    _Pickler(file, instance, flame, parts=parts).dump(value)
    return file.getvalue()


def _unsaved(instance: StarNode, flame: FlameHandle, error: Exception) -> ModelError:
    method = "analysis_method" if hasattr(instance, "analysis_method") else "aggregation_method"
    for name, value in _attributes(instance).items():
        try:  # pickle itself does not say which attribute it failed on
            _pickled(value, instance, flame, parts=True)
        except Exception as cause:
            return ModelError(
                f"the attribute {name!r} of {type(instance).__name__} ({type(value).__name__}) "
                f"cannot be saved for the next round; make it anew in {method}",
                detail=f"{type(cause).__name__}: {text_of(cause)}",
            )
    return ModelError(
        f"{type(instance).__name__} cannot be saved for the next round",
        detail=f"{type(error).__name__}: {text_of(error)}",
    )


def _attributes(instance: StarNode) -> dict[str, Any]:
    """Return what pickling takes of an instance: its ``__dict__``, slots, or its own choice."""
    try:
        reduced = instance.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    except Exception:  # of a `__getstate__` of the user's: it is what failed, and no attribute
        return {}
    state = reduced[2] if isinstance(reduced, tuple) and len(reduced) > 2 else None
    parts = state if isinstance(state, tuple) else (state,)
    return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}
