"""The text of an SVG file that a notebook draws, in place of showing its text."""

from __future__ import annotations

__all__ = ["SvgPicture"]


class SvgPicture(str):
    """An SVG file as text: alone in a notebook's cell it is the picture.

    Examples
    --------
    >>> SvgPicture("<svg/>") == "<svg/>"
    True
    """

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)
