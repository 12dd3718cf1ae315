"""Numbers of bytes as people read them."""

from __future__ import annotations

__all__ = ["shown_size"]


def shown_size(size: int) -> str:
    """Return a number of bytes in a unit that fits.

    Examples
    --------
    >>> shown_size(68), shown_size(1234), shown_size(2_500_000)
    ('68 B', '1.2 kB', '2.5 MB')
    """
    if size >= 1e6:
        return f"{size / 1e6:.1f} MB"
    return f"{size / 1e3:.1f} kB" if size >= 1e3 else f"{size} B"
