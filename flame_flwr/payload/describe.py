"""One line about a value's structure, without a value in it: for the history of a run."""

from __future__ import annotations

import numpy as np

__all__ = ["describe"]


def describe(value: object) -> str:
    """Say what a value is: its type and size, no values, keys or names.

    Parameters
    ----------
    value : object
        Anything; only its outside is looked at.

    Returns
    -------
    str
        A few words.

    Examples
    --------
    >>> import numpy as np
    >>> describe(np.zeros((1, 30))), describe({"a": 1, "b": 2}), describe(0.5)
    ('ndarray float64 (1, 30)', 'dict of 2', 'float')
    """
    kind = type(value)
    name = kind.__name__
    if isinstance(value, np.ndarray):
        return f"{name} {value.dtype.name} {value.shape}"
    if isinstance(value, range):  # it may have more numbers than len() can say, or a text can
        count = max(0, -((value.start - value.stop) // value.step))
        return f"{name} of {count}" if count < _MANY else f"{name} of {_MANY} or more"
    if isinstance(value, _SIZED):
        return f"{name} of {len(value)}"
    if kind.__module__.partition(".")[0] in _SHAPED:
        shape = getattr(value, "shape", None)
        return name if shape is None else f"{name} {shape}"
    return name


_MANY = 10**100
_SIZED = (bytearray, bytes, dict, frozenset, list, set, tuple)
_SHAPED = ("pandas", "scipy")
