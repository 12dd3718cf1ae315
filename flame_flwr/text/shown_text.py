"""Text of another party's, without what a terminal would obey."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["cut_off", "one_line", "one_line_each", "printable", "shown_lines", "shown_text"]


def shown_text(text: object, most: int | None = None) -> str:
    r"""Return a text with ``?`` in place of what cannot be shown.

    Parameters
    ----------
    text : object
        Shown as ``str`` has it.
    most : int, optional
        So many of its characters are looked at, and no more.

    Examples
    --------
    >>> shown_text("hospital\x1b[2J", most=10)
    'hospital?['
    """
    return "".join(letter if letter.isprintable() else "?" for letter in _said(text)[:most])


def one_line(text: object, most: int) -> str:
    r"""Return a stranger's text as one line of limited length, which a terminal only shows.

    Parameters
    ----------
    text : object
        Shown as ``str`` has it; several lines become one, with a space between them. Of what has
        no text, such as a number of too many digits, the type is shown.
    most : int
        How many characters are shown.

    Examples
    --------
    >>> one_line("no rows\nround 7: it has converged\x1b[2J", most=40)
    'no rows round 7: it has converged?[2J'
    >>> one_line("a long story", most=6)
    'a long...'
    """
    said = _said(text)
    shown = " ".join(part.strip() for part in said[:most].splitlines())
    return shown_text(shown) + ("..." if len(said) > most else "")


def cut_off(text: str, most: int) -> str:
    """Return a text of limited length; of a longer one its beginning.

    Examples
    --------
    >>> cut_off("a long text", 6)
    'a long...'
    """
    return text if len(text) <= most else f"{text[:most]}..."


def one_line_each(labels: Iterable[object], most: int = 10, longest: int = 60) -> str:
    r"""Return the first of a stranger's keys or columns, each short and on the same line.

    Parameters
    ----------
    labels : iterable
        Shown as ``str`` has them.
    most : int
        How many are shown.
    longest : int
        How many characters of each.

    Examples
    --------
    >>> one_line_each(["age", "weight[2J", 10**5000], most=2)
    'age, weight?[2J, ...'
    """
    # No more than are needed: there may be a million columns.
    first = [one_line(label, longest) for label in islice(labels, most + 1)]
    return ", ".join([*first[:most], "..."] if len(first) > most else first)


def shown_lines(text: str, most: int) -> str:
    r"""Return a stranger's text, of limited length, whose ends of lines stay.

    Parameters
    ----------
    text : str
        The text.
    most : int
        How many of its characters are shown.

    Examples
    --------
    >>> shown_lines("Traceback:\n  File\x1b[2J\n", most=40)
    'Traceback:\n  File?[2J\n'
    """
    return "\n".join(map(shown_text, text[:most].split("\n")))


def _said(text: object) -> str:
    try:
        return str(text)
    except Exception:  # an integer of too many digits, or a class of a stranger's
        return f"(a {type(text).__name__} that has no text)"


def printable(text: str, *, lines: bool = False) -> str:
    r"""Return a stranger's text as one line in which all is spelled out that a terminal would obey.

    So is what turns the order of letters round, which makes code read otherwise than it runs, and
    the end of a line: what follows it would look like a line of our own.

    Parameters
    ----------
    text : str
        The text.
    lines : bool
        It is that of a file: ends of lines and tabs stay.

    Examples
    --------
    >>> print(printable("1.0.0\napproved\x1b[2K"))
    1.0.0\napproved\x1b[2K
    >>> print(printable("a = 1\n# \u202e end", lines=True))
    a = 1
    # \u202e end
    """
    kept = "\n\t" if lines else ""
    return "".join(
        letter if letter.isprintable() or letter in kept else ascii(letter)[1:-1] for letter in text
    )
