"""Python's own types that msgpack does not know: how each is packed and restored.

For the standard library only. Restoring goes through constructors that check what they
get, never through pickle's protocol.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter, OrderedDict, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from flame_flwr.payload import time_zones
from flame_flwr.payload.screening import screen, typed
from flame_flwr.payload.time_zones import fold_of, placed
from flame_flwr.payload.wire import (
    BIG_INT,
    BYTEARRAY,
    COMPLEX,
    COUNTER,
    DATE,
    DATETIME,
    DECIMAL,
    DEFAULT_DICT,
    FROZENSET,
    ORDERED_DICT,
    RANGE,
    SET,
    TIME,
    TIMEDELTA,
    TIMEZONE,
    TUPLE,
    UUID,
    RefusedError,
)

if TYPE_CHECKING:
    from flame_flwr.payload.decoder import Decoder
    from flame_flwr.payload.encoder import Encoder

__all__ = ["PACK", "RESTORE"]


def _pack_tuple(value: tuple[Any, ...], encoder: Encoder) -> list[Any]:
    return [TUPLE, *screen(list(value))]


def _restore_tuple(items: list[Any], decoder: Decoder) -> tuple[Any, ...]:
    return tuple(items)


def _pack_set(value: set[Any], encoder: Encoder) -> list[Any]:
    return [SET, *screen(list(value))]


def _restore_set(items: list[Any], decoder: Decoder) -> set[Any]:
    return set(items)


def _pack_frozenset(value: frozenset[Any], encoder: Encoder) -> list[Any]:
    return [FROZENSET, *screen(list(value))]


def _restore_frozenset(items: list[Any], decoder: Decoder) -> frozenset[Any]:
    return frozenset(items)


def _pack_ordered_dict(value: OrderedDict[Any, Any], encoder: Encoder) -> list[Any]:
    return [ORDERED_DICT, *screen([dict(value)])]


def _restore_ordered_dict(items: list[Any], decoder: Decoder) -> OrderedDict[Any, Any]:
    (content,) = items
    return OrderedDict(typed(content, dict))


def _pack_counter(value: Counter[Any], encoder: Encoder) -> list[Any]:
    return [COUNTER, *screen([dict(value)])]


def _restore_counter(items: list[Any], decoder: Decoder) -> Counter[Any]:
    (content,) = items
    return Counter(typed(content, dict))


def _pack_defaultdict(value: defaultdict[Any, Any], encoder: Encoder) -> list[Any]:
    factory = value.default_factory
    name = None if factory is None else getattr(factory, "__name__", None)
    if factory is not None and _FACTORIES.get(name or "") is not factory:
        raise RefusedError(
            value,
            "A defaultdict travels if its factory is one of Python's own types "
            f"({', '.join(_FACTORIES)}). Return dict(...) of it instead",
        )
    return [DEFAULT_DICT, name, *screen([dict(value)])]


def _restore_defaultdict(items: list[Any], decoder: Decoder) -> defaultdict[Any, Any]:
    name, content = items
    factory = None if name is None else _FACTORIES[name]
    return defaultdict(factory, typed(content, dict))


def _pack_int(value: int, encoder: Encoder) -> list[Any]:
    return [BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)]


def _restore_int(items: list[Any], decoder: Decoder) -> int:
    (raw,) = items
    return int.from_bytes(typed(raw, bytes), "little", signed=True)


def _pack_complex(value: complex, encoder: Encoder) -> list[Any]:
    return [COMPLEX, value.real, value.imag]


def _restore_complex(items: list[Any], decoder: Decoder) -> complex:
    real, imaginary = items
    return complex(typed(real, float), typed(imaginary, float))


def _restore_bytearray(items: list[Any], decoder: Decoder) -> bytearray:
    (raw,) = items
    return bytearray(typed(raw, bytes))


def _pack_datetime(value: dt.datetime, encoder: Encoder) -> list[Any]:
    return [DATETIME, value.year, value.month, value.day, *_clock(value)]


def _restore_datetime(items: list[Any], decoder: Decoder) -> dt.datetime:
    year, month, day, hour, minute, second, microsecond, fold, zone = items
    moment = dt.datetime(year, month, day, hour, minute, second, microsecond, fold=fold)
    return placed(moment, zone)


def _pack_date(value: dt.date, encoder: Encoder) -> list[Any]:
    return [DATE, value.year, value.month, value.day]


def _restore_date(items: list[Any], decoder: Decoder) -> dt.date:
    year, month, day = items
    return dt.date(year, month, day)


def _pack_time(value: dt.time, encoder: Encoder) -> list[Any]:
    return [TIME, *_clock(value)]


def _restore_time(items: list[Any], decoder: Decoder) -> dt.time:
    hour, minute, second, microsecond, fold, zone = items
    return dt.time(hour, minute, second, microsecond, zone, fold=fold)


def _pack_timedelta(value: dt.timedelta, encoder: Encoder) -> list[Any]:
    return [TIMEDELTA, value.days, value.seconds, value.microseconds]


def _restore_timedelta(items: list[Any], decoder: Decoder) -> dt.timedelta:
    days, seconds, microseconds = items
    return dt.timedelta(
        typed(days, int), typed(seconds, int), microseconds=typed(microseconds, int)
    )


def _pack_timezone(value: dt.timezone, encoder: Encoder) -> list[Any]:
    offset = value.utcoffset(None)
    name = value.tzname(None)
    return [TIMEZONE, offset, None if name == dt.timezone(offset).tzname(None) else name]


def _restore_timezone(items: list[Any], decoder: Decoder) -> dt.timezone:
    offset, name = items
    return dt.timezone(offset) if name is None else dt.timezone(offset, name)


def _pack_decimal(value: Decimal, encoder: Encoder) -> list[Any]:
    return [DECIMAL, str(value)]


def _restore_decimal(items: list[Any], decoder: Decoder) -> Decimal:
    (text,) = items
    return Decimal(typed(text, str))


def _pack_uuid(value: uuid.UUID, encoder: Encoder) -> list[Any]:
    return [UUID, value.bytes]


def _restore_uuid(items: list[Any], decoder: Decoder) -> uuid.UUID:
    (raw,) = items
    return uuid.UUID(bytes=typed(raw, bytes))


def _pack_range(value: range, encoder: Encoder) -> list[Any]:
    return [RANGE, value.start, value.stop, value.step]


def _restore_range(items: list[Any], decoder: Decoder) -> range:
    start, stop, step = items
    return range(typed(start, int), typed(stop, int), typed(step, int))


def _clock(value: dt.datetime | dt.time) -> list[Any]:
    return [
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
        fold_of(value),
        value.tzinfo,
    ]


_FACTORIES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        bool,
        bytearray,
        bytes,
        complex,
        dict,
        float,
        frozenset,
        int,
        list,
        set,
        str,
        tuple,
    )
}

PACK: dict[type[Any], Any] = {
    **time_zones.PACK,
    tuple: _pack_tuple,
    set: _pack_set,
    frozenset: _pack_frozenset,
    OrderedDict: _pack_ordered_dict,
    Counter: _pack_counter,
    defaultdict: _pack_defaultdict,
    int: _pack_int,
    complex: _pack_complex,
    dt.datetime: _pack_datetime,
    dt.date: _pack_date,
    dt.time: _pack_time,
    dt.timedelta: _pack_timedelta,
    dt.timezone: _pack_timezone,
    Decimal: _pack_decimal,
    uuid.UUID: _pack_uuid,
    range: _pack_range,
}
"""How a value of exactly this type becomes a tagged list."""

RESTORE: dict[Any, Any] = {
    **time_zones.RESTORE,
    TUPLE: _restore_tuple,
    SET: _restore_set,
    FROZENSET: _restore_frozenset,
    ORDERED_DICT: _restore_ordered_dict,
    COUNTER: _restore_counter,
    DEFAULT_DICT: _restore_defaultdict,
    BIG_INT: _restore_int,
    COMPLEX: _restore_complex,
    BYTEARRAY: _restore_bytearray,
    DATETIME: _restore_datetime,
    DATE: _restore_date,
    TIME: _restore_time,
    TIMEDELTA: _restore_timedelta,
    TIMEZONE: _restore_timezone,
    DECIMAL: _restore_decimal,
    UUID: _restore_uuid,
    RANGE: _restore_range,
}
"""How what follows a marker becomes a value again."""
