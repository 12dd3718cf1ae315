"""The rows for Python's own types that msgpack does not know.

Restoring goes through constructors that check what they get, never through pickle's
protocol.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter, OrderedDict, defaultdict
from decimal import Decimal
from operator import attrgetter
from typing import Any

from flame_flwr.payload.kinds import Kind
from flame_flwr.payload.screening import BYTEARRAY
from flame_flwr.payload.time_zones import fold_of, placed
from flame_flwr.payload.wire_format import RefusedError
from flame_flwr.payload.work import check_hashes

__all__ = ["KINDS", "WHOLE_NUMBER"]

WHOLE_NUMBER = 7
"""The code of whole numbers of more than 64 bits."""


def _as_text(value: object) -> list[str]:
    return [str(value)]


def _as_dict(value: dict[Any, Any]) -> list[Any]:
    return [dict(value)]


def _restore_set(items: list[Any]) -> set[Any]:
    check_hashes(items)
    return set(items)


def _restore_frozenset(items: list[Any]) -> frozenset[Any]:
    check_hashes(items)
    return frozenset(items)


def _cost_of_set(parts: list[Any]) -> int:
    return 256 + 64 * len(parts)


def _cost_of_dict(parts: list[Any]) -> int:
    return 512 + 128 * sum(len(part) for part in parts if type(part) is dict)


def _pack_defaultdict(value: defaultdict[Any, Any]) -> list[Any]:
    # By name and of a few types: whatever a sender names as a factory is called at the receiver.
    factory = value.default_factory
    name = None if factory is None else getattr(factory, "__name__", None)
    if factory is not None and _FACTORIES.get(name or "") is not factory:
        raise RefusedError(
            value,
            "A defaultdict travels if its factory is one of Python's own types "
            f"({', '.join(_FACTORIES)}). Return dict(...) of it instead",
        )
    return [name, dict(value)]


def _restore_defaultdict(name: Any, content: dict[Any, Any]) -> defaultdict[Any, Any]:
    return defaultdict(None if name is None else _FACTORIES[name], content)


def _pack_int(value: int) -> list[Any]:
    return [value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)]


def _restore_int(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


def _pack_datetime(value: dt.datetime) -> list[Any]:
    return [value.year, value.month, value.day, *_pack_time(value)]


def _restore_datetime(*parts: Any) -> dt.datetime:
    *clock, fold, zone = parts
    return placed(dt.datetime(*clock, fold=fold), zone)


def _pack_time(value: dt.datetime | dt.time) -> list[Any]:
    clock = value.hour, value.minute, value.second, value.microsecond
    return [*clock, fold_of(value), value.tzinfo]


def _restore_time(*parts: Any) -> dt.time:
    *clock, fold, zone = parts
    hour, minute, second, microsecond = clock
    return dt.time(hour, minute, second, microsecond, zone, fold=fold)


def _pack_timezone(value: dt.timezone) -> list[Any]:
    offset, name = value.utcoffset(None), value.tzname(None)
    return [offset, None if name == dt.timezone(offset).tzname(None) else name]


def _restore_timezone(offset: dt.timedelta, name: Any) -> dt.timezone:
    return dt.timezone(offset) if name is None else dt.timezone(offset, name)


_FACTORIES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        *(bool, bytearray, bytes, complex, dict, float),
        *(frozenset, int, list, set, str, tuple),
    )
}
_CLOCK = (int, int, int, int, int, object)
_PARTS_OF_SPAN = attrgetter("days", "seconds", "microseconds")

KINDS = (
    Kind(1, (tuple,), list, tuple, screened=True),
    Kind(2, (set,), list, _restore_set, screened=True, cost=_cost_of_set),
    Kind(3, (frozenset,), list, _restore_frozenset, screened=True, cost=_cost_of_set),
    Kind(4, (OrderedDict,), _as_dict, OrderedDict, (dict,), screened=True, cost=_cost_of_dict),
    Kind(5, (Counter,), _as_dict, Counter, (dict,), screened=True, cost=_cost_of_dict),
    Kind(
        6,
        (defaultdict,),
        _pack_defaultdict,
        _restore_defaultdict,
        (object, dict),
        screened=True,
        cost=_cost_of_dict,
    ),
    Kind(
        WHOLE_NUMBER, (int,), _pack_int, _restore_int, (bytes,)
    ),  # those of 64 bits msgpack packs itself
    Kind(8, (complex,), attrgetter("real", "imag"), complex, (float, float)),
    # tagged where values are screened
    Kind(BYTEARRAY, (), lambda value: [value], bytearray, (bytes,)),
    Kind(10, (dt.datetime,), _pack_datetime, _restore_datetime, (int, int, int, *_CLOCK)),
    Kind(11, (dt.date,), attrgetter("year", "month", "day"), dt.date, (int, int, int)),
    Kind(12, (dt.time,), _pack_time, _restore_time, _CLOCK),
    Kind(13, (dt.timedelta,), _PARTS_OF_SPAN, dt.timedelta, (int, int, int)),
    Kind(14, (dt.timezone,), _pack_timezone, _restore_timezone, (dt.timedelta, object)),
    Kind(16, (Decimal,), _as_text, Decimal, (str,)),
    Kind(17, (uuid.UUID,), lambda value: [value.bytes], lambda raw: uuid.UUID(bytes=raw), (bytes,)),
    Kind(18, (range,), attrgetter("start", "stop", "step"), range, (int, int, int)),
)
"""Python's own types; time zones have rows of their own, in ``time_zones``."""
