"""What Python writes of a result that is no plain value, in words: enums, objects, local classes.

It works on the text, as a report is made of files: the values themselves are gone by then.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flame_flwr.text.words import member_in_words, name_in_words, with_article

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NO_VALUE", "result_in_words", "without_python"]

NO_VALUE = "no value"
"""How ``None`` is said where it is a result."""

_PATH = r"(?:\w+\.|<locals>\.)*"
_PYTHON = re.compile(
    # Texts come first, so that what looks like an object within one stays as it is. Of bounded
    # length: a file of nothing but quotes and backslashes would take minutes else.
    r"""(?P<text>'(?:[^'\\\n]|\\.){0,200}'|"(?:[^"\\\n]|\\.){0,200}")"""
    # With its class, as enums write it: `age <40: 12, >60: 8` is nobody's but the study's.
    r"""|<[A-Z]\w*\.(?P<member>[^\W\d][\w|]*): (?P<value>'[^'\n]*'|"[^"\n]*"|[^<>'"\n]*)>"""
    rf"|<{_PATH}(?P<kind>\w+) object at 0x[0-9a-fA-F]+>"
    rf"|(?P<function><(?:bound method|function) [^\n]{1, 300}? at 0x[0-9a-fA-F]+>+)"
    # Only where a chain of names begins: tried at each of them, a long chain would take minutes.
    r"|(?<![\w.])(?P<within>(?:\w+\.)+<locals>\.(?:\w+\.(?:<locals>\.)?)*)"
)
_ENUM = re.compile(r"(?:\w+\.)*([A-Z]\w*)\.([A-Z][A-Z0-9_]*)")
"""What ``str`` gives of an enum's member, by the way in which people write these."""


def without_python(text: str, say: Callable[[str], str] = str) -> str:
    """Return Python's text of a value with words for the objects in it.

    Parameters
    ----------
    text : str
        What ``str`` or ``repr`` gave.
    say : callable
        Called with the words of each object; ``repr`` where the text is to be read as literals.

    Examples
    --------
    >>> without_python("{'arm': <Arm.LOW_DOSE: 1>, 'of': <study.run.<locals>.Fit object at 0x7f>}")
    "{'arm': LOW DOSE, 'of': a fit}"
    >>> without_python("summary.<locals>.Stay(days=3)")
    'Stay(days=3)'
    """

    def words(found: re.Match[str]) -> str:
        if found["text"] is not None:
            return found["text"]
        if found["member"] is not None:
            value = found["value"]
            return say(member_in_words(found["member"], value[1:-1] if value[:1] in "'\"" else ""))
        if found["kind"] is not None:
            return say(with_article(found["kind"]))
        return "" if found["within"] is not None else say("a function")

    return _PYTHON.sub(words, text)


def result_in_words(text: str) -> str:
    """Return the whole text of a result, as far as Python has written it, in words.

    Examples
    --------
    >>> result_in_words("None"), result_in_words("Arm.LOW_DOSE"), result_in_words("41.5")
    ('no value', 'arm: LOW DOSE', '41.5')
    """
    whole = text.strip()
    if whole == "None":
        return NO_VALUE
    if enum := _ENUM.fullmatch(whole):  # with its kind: it may also be a text that looks so
        return f"{name_in_words(enum[1])}: {member_in_words(enum[2])}"
    return without_python(text)
