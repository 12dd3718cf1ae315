"""Time zones of pytz, which pandas before 3 makes of a zone's name.

Where pandas 3 is installed, or no pytz, they arrive as those of ``zoneinfo``, like pandas 3's own:
the moments are the same. pytz is never imported to pack.
"""

from __future__ import annotations

import datetime as dt
import importlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flame_flwr.errors import PayloadError
from flame_flwr.payload.kinds import Kind
from flame_flwr.payload.screening import typed
from flame_flwr.payload.wire_format import RefusedError

__all__ = ["KINDS", "PYTZ", "fold_of", "placed"]


def fold_of(value: dt.datetime | dt.time) -> int:
    """Return ``fold``, also of a moment in a zone of pytz, which says it by its offset instead."""
    name = getattr(value.tzinfo, "zone", None)
    if name is None or not isinstance(value, dt.datetime):
        return value.fold
    first = value.replace(tzinfo=_zone_info(name), fold=0)
    return int(first.utcoffset() != value.utcoffset())


def placed(moment: dt.datetime, zone: Any) -> dt.datetime:
    """Return a moment without a zone, with its ``fold``, in the zone that arrived with it.

    Raises
    ------
    TypeError
        It is no zone.
    """
    if not isinstance(zone, dt.tzinfo | None):
        raise TypeError("no time zone")
    localize = getattr(zone, "localize", None)
    if localize is None:
        return moment.replace(tzinfo=zone)
    # A zone of pytz has an offset fixed in it, and knows no `fold`: `localize` gives the right one.
    naive = moment.replace(fold=0)
    choices: list[dt.datetime] = [localize(naive, is_dst=True), localize(naive, is_dst=False)]
    choices.sort(key=lambda choice: choice.utcoffset() or dt.timedelta(), reverse=True)
    return choices[moment.fold]  # the earlier one has the larger offset


def _pack_pytz(value: Any) -> list[Any]:
    """Take a zone's name, or its offset in minutes."""
    if value.zone is None:
        return [round(value.utcoffset(None).total_seconds() / 60)]
    return [value.zone]


def _restore_pytz(zone: Any) -> dt.tzinfo:
    pytz = _pytz()
    if isinstance(zone, str):
        if pytz is None:
            return _zone_info(zone)
        try:
            named: dt.tzinfo = pytz.timezone(zone)
        except pytz.UnknownTimeZoneError as error:
            raise PayloadError(_UNKNOWN, detail=str(error)) from error
        return named
    minutes = typed(zone, int)
    if pytz is None:
        return dt.timezone(dt.timedelta(minutes=minutes))
    fixed: dt.tzinfo = pytz.FixedOffset(minutes)
    return fixed


def _pack_zone_info(value: ZoneInfo) -> list[Any]:
    if value.key is None:
        raise RefusedError(value, "Use a zone that has a name: zoneinfo.ZoneInfo(name)")
    return [value.key]


def _zone_info(key: str) -> ZoneInfo:
    try:
        return ZoneInfo(key)
    except ZoneInfoNotFoundError as error:
        raise PayloadError(_UNKNOWN, detail=str(error)) from error


@lru_cache(maxsize=1)
def _pytz() -> Any:
    """Return pytz where the pandas that is installed uses it, else ``None``."""
    try:
        if int(version("pandas").partition(".")[0]) < 3:
            return importlib.import_module("pytz")
    except (PackageNotFoundError, ImportError):
        pass
    return None


_UNKNOWN = (
    "The payload holds a time zone that this side does not know: install or upgrade the package "
    "tzdata here."
)

PYTZ = Kind(19, (), _pack_pytz, _restore_pytz, (object,))
"""pytz has a class per zone: ``table`` finds this row for them."""

KINDS = (Kind(15, (ZoneInfo,), _pack_zone_info, _zone_info, (str,)), PYTZ)
"""Time zones that have names; those of ``datetime`` are with Python's own types."""
