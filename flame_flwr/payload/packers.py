"""Which function packs which type: those of a package once one of its types is met."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from flame_flwr.payload import (
    numpy_types,
    pandas_types,
    python_types,
    scipy_types,
    time_zones,
)

if TYPE_CHECKING:
    from flame_flwr.payload.encoder import Encoder

__all__ = ["PACKERS", "Pack", "is_known", "load_packers"]

Pack = Callable[[Any, "Encoder"], list[Any]]


def is_known(cls: type[Any]) -> bool:
    """Tell whether values of exactly this class travel without being registered."""
    if cls in _NATIVE or cls in PACKERS:
        return True
    load_packers(cls)
    return cls in PACKERS


def load_packers(cls: type[Any]) -> None:
    """Fill in a package's packers when one of its types is met, so it is imported already."""
    package = cls.__module__.partition(".")[0]
    if package == "pandas":
        PACKERS.update(pandas_types.pack_table())
    elif package == "scipy":
        PACKERS.update(scipy_types.pack_table())
    elif package == "pytz" and issubclass(cls, tzinfo):  # a class per zone
        PACKERS[cls] = time_zones.pack_pytz


PACKERS: dict[type[Any], Pack] = {**python_types.PACK, **numpy_types.PACK}
_NATIVE = {type(None), bool, int, float, str, bytes, bytearray, list, dict}
