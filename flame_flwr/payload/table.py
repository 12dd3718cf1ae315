"""The one table of the wire format: what travels, under which code, and how.

`encode` looks a value's type up in it, `decode` a marker's code, and ``docs/payload.md`` lists
it. The rows stand with their packages. A package is never imported to pack: a value of its
types means that it is imported already.
"""

from __future__ import annotations

import pickle
import sys
from datetime import tzinfo
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import PayloadError
from flame_flwr.payload import (
    estimators,
    numpy_types,
    pandas_arrays,
    pandas_types,
    python_types,
    scipy_types,
    sparse_change,
    time_zones,
    user_types,
)
from flame_flwr.payload.kinds import BesideKind, Choice, Kind, Refusal
from flame_flwr.payload.wire_format import RefusedError

if TYPE_CHECKING:
    from flame_flwr.payload.decoder import Decoder
    from flame_flwr.payload.encoder import Encoder

__all__ = [
    "BY_CODE",
    "BY_TYPE",
    "NATIVE",
    "PICKLE",
    "ROWS",
    "Row",
    "as_markdown",
    "find",
    "is_known",
]

Row = Kind | Choice | Refusal

NATIVE = (type(None), bool, int, float, str, bytes, bytearray, list, dict)
"""What msgpack packs by itself, or `screen` tags."""


def find(value: object) -> Row:
    """Find the row of a value whose type has not been met yet, or has none of its own.

    Raises
    ------
    RefusedError
        There is none.
    """
    cls = type(value)
    if user_types.is_registered(cls):
        return user_types.USER_TYPE
    _meet(cls)
    if cls in BY_TYPE:
        return BY_TYPE[cls]
    if estimators.is_estimator(value):
        return estimators.ESTIMATOR
    if isinstance(value, np.ndarray):
        raise RefusedError(value, "Turn this subclass into a plain array with numpy.asarray(...)")
    raise RefusedError(value)


def is_known(cls: type[Any]) -> bool:
    """Tell whether values of exactly this class travel without being registered."""
    if cls not in BY_TYPE:
        _meet(cls)
    return cls in NATIVE or cls in BY_TYPE


def _meet(cls: type[Any]) -> None:
    """Look up the classes of a package once one of them is met."""
    package = cls.__module__.partition(".")[0]
    # A package may be imported in part: what is not there yet is looked for again.
    if package == "pytz" and issubclass(cls, tzinfo):  # it has a class per zone
        BY_TYPE[cls] = time_zones.PYTZ
    for row in ROWS:
        for name in row.types:
            if isinstance(name, str) and name.startswith(package):
                module, _, attribute = name.partition(":")
                if module in sys.modules:
                    BY_TYPE[attrgetter(attribute)(sys.modules[module])] = row


def as_markdown() -> str:
    """Return the table for the documentation: what travels, a line per module."""
    modules: dict[str, dict[str, None]] = {}
    for cls in (
        *NATIVE,
        *(cls for row in ROWS if not isinstance(row, Refusal) for cls in row.types),
    ):
        module, name = _shown(cls)
        if module.startswith("flame_flwr."):
            continue  # what a gate makes on the way, which nobody returns
        modules.setdefault(module, {})[name] = None
    lines = [f"| {module} | {', '.join(names)} |" for module, names in modules.items()]
    return "\n".join(["| from | types |", "| --- | --- |", *lines])


def _shown(cls: type[Any] | str) -> tuple[str, str]:
    if isinstance(cls, str):
        module, _, name = cls.partition(":")
        return module, name
    if issubclass(cls, np.generic):
        return "numpy", "every scalar but those of objects"  # they differ between versions
    return cls.__module__.replace("builtins", "Python"), cls.__qualname__


def _pack_pickle(value: object, encoder: Encoder) -> list[Any]:
    try:
        data = pickle.dumps(value, protocol=5)
    except Exception as error:
        raise RefusedError(
            value, "It cannot even be pickled. Return a dict of arrays and plain values instead"
        ) from error
    return [encoder.blob(data)]


def _restore_pickle(decoder: Decoder, place: Any) -> object:
    if not decoder.allow_pickle:
        raise PayloadError(
            "The payload holds a pickle, and loading a pickle can run any code: refused. "
            'Declare payload="pickle" on the model on both sides if every party is trusted, '
            "or return a dict of arrays."
        )
    return pickle.loads(decoder.blob(place))  # noqa: S301  (asked for, on both sides)


PICKLE = BesideKind(110, (), _pack_pickle, _restore_pickle, (object,))
"""What has no place in the format, where both sides allow it."""

ROWS: tuple[Row, ...] = (
    *python_types.KINDS,
    *time_zones.KINDS,
    *numpy_types.KINDS,
    *pandas_types.KINDS,
    *pandas_arrays.KINDS,
    *scipy_types.KINDS,
    *sparse_change.KINDS,
    *estimators.KINDS,
    *user_types.KINDS,
    PICKLE,
)

BY_CODE = {row.code: row for row in ROWS if isinstance(row, Kind)}
"""What follows a marker, by the marker's code."""

BY_TYPE: dict[type[Any], Row] = {
    cls: row for row in ROWS for cls in row.types if isinstance(cls, type)
}
"""How a value of exactly this type is packed; types of other packages once they are met."""
