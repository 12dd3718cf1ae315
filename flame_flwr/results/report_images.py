"""Images of a run's results as data of the report's page: whole, bounded, and of known formats."""

from __future__ import annotations

import base64
import io
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["NotShownError", "image_uri"]

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
"""What browsers show, and Pillow decodes."""
_LARGEST = 3_000_000
_MOST_PIXELS = 50_000_000
_TOO_LARGE = "This image is too large to be shown here."
_BROKEN = "This image is broken, or not complete: it cannot be shown."


class NotShownError(Exception):
    """An image that is not shown; the text says why."""


def image_uri(path: Path, room: int) -> str:
    """Return an image as a ``data:`` URI; empty where the file is none.

    Parameters
    ----------
    path : Path
        The file.
    room : int
        Bytes that there is room for in the page.

    Raises
    ------
    NotShownError
        It is too large, or a browser would show it broken.
    """
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    is_svg = path.suffix.lower() == ".svg"
    media_type = "image/svg+xml" if is_svg else _media_type(content)
    if not media_type:
        return ""
    if len(content) > min(_LARGEST, room):
        raise NotShownError(_TOO_LARGE)
    if not (_is_whole_svg(content) if is_svg else _is_whole(content)):
        raise NotShownError(_BROKEN)
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _media_type(content: bytes) -> str:
    """Return what a file is by its beginning; empty where it is no image."""
    from PIL import Image, UnidentifiedImageError

    try:
        with _quiet(), Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise NotShownError(_TOO_LARGE)
            return str(image.get_format_mimetype())
    except UnidentifiedImageError:
        return ""
    except (NotShownError, Image.DecompressionBombError):
        raise NotShownError(_TOO_LARGE) from None
    # WebP is decoded as it is opened, and a PNG's notes are unpacked: any error may come of that.
    except Exception:
        raise NotShownError(_TOO_LARGE if len(content) > _LARGEST else _BROKEN) from None


def _is_whole(content: bytes) -> bool:
    from PIL import Image

    try:
        with _quiet(), Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            image.load()
    except Exception:  # decoders raise many kinds of errors for bytes that are damaged
        return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's warnings of large images away: what is too large is said in the report."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _is_whole_svg(content: bytes) -> bool:
    """Tell whether it is well-formed XML whose first element is SVG's; entities are refused."""
    parser = expat.ParserCreate(namespace_separator=" ")
    names: list[str] = []

    def refuse(*declared: object) -> None:
        raise ValueError("an entity is declared")

    parser.StartElementHandler = lambda name, attributes: names.append(name) if not names else None
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError):  # the last of an encoding's name
        return False
    return names[:1] == ["http://www.w3.org/2000/svg svg"]
