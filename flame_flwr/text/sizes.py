"""Numbers of bytes as people read them."""

from __future__ import annotations

__all__ = ["shown_size"]

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def shown_size(size: int) -> str:
    """Return a number of bytes in the unit, of powers of 1000, that leaves one to three digits.

    The unit is that of the rounded number: 999,999 bytes are 1.0 MB, not 1000.0 kB.

    Examples
    --------
    >>> shown_size(68), shown_size(1234), shown_size(999_999), shown_size(5_000_000_000)
    ('68 B', '1.2 kB', '1.0 MB', '5.0 GB')
    """
    text, scaled, units = f"{size} B", float(size), iter(_UNITS)
    while float(text.split()[0]) >= 1000 and (unit := next(units, "")):
        scaled /= 1000
        text = f"{scaled:.1f} {unit}"
    return text
