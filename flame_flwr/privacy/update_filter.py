"""``UpdateFilter``, the base of every filter on model updates.

A filter sees the change of the model, that is the result's float arrays minus the same arrays of
the aggregate that the node was sent, and gives back another, before any of it leaves. For
disclosure rules on counts and tables, and for noise on the final result, see the other modules of
this package.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from flame_flwr.errors import ModelError
from flame_flwr.parameters import Domain, check_parameters, parameter, plain_parameters
from flame_flwr.privacy.noise import Noise
from flame_flwr.privacy.update_blocks import ArrayChange, Update, as_part
from flame_flwr.text.words import settings_in_words

if TYPE_CHECKING:
    from flame_flwr.privacy.budget import Mechanism
    from flame_flwr.privacy.update_blocks import Part

__all__ = ["BlockFilter", "UpdateFilter", "check_filters", "keys_of", "with_seed"]


def keys_of(each: UpdateFilter) -> tuple[str, ...] | None:
    """Return the keys of the arrays that a filter acts on; ``None`` where it acts on all."""
    return None if each.keys is None else _as_tuple(each.keys)


def _as_tuple(keys: str | Sequence[str]) -> tuple[str, ...]:
    return (keys,) if isinstance(keys, str) else tuple(keys)


def _are_keys(keys: object) -> bool:
    if not isinstance(keys, Sequence):
        return keys is None
    return bool(keys) and all(isinstance(key, str) and key for key in keys)


_KEYS = Domain("are names of arrays", _are_keys, lambda keys: list(_as_tuple(keys)))
_MISSING = Domain("is 'error' or 'skip'", lambda missing: missing in ("error", "skip"))


@dataclass(frozen=True)
class UpdateFilter(ABC):
    """Base of all filters. A subclass is a frozen dataclass with a method :meth:`change`.

    Parameters
    ----------
    keys : str or sequence of str, optional
        Which arrays of the result: the keys that lead there with dots between, such as ``coef``,
        ``model.coef`` or, in a list or tuple, ``0``. A key also names everything within. Without
        keys all float arrays of the result.
    missing : {'error', 'skip'}
        What to do in a round whose result has no float array at a key: fail, or let the round's
        result leave without this filter, as an analysis of several phases needs it.

    Raises
    ------
    ModelError
        One of them is something else.

    Notes
    -----
    Only NumPy arrays of floats in dicts, lists and tuples are filtered. Every other part of the
    result, such as a Python number, a DataFrame or a fitted estimator, leaves as it is, and so do
    the numbers of ``evaluation_method``.

    A model's buffers, such as BatchNorm's running variance, are those that the result names under
    ``buffers``, as :class:`~flame_flwr.torch.TorchAnalyzer` does, and those that are called as in
    PyTorch's BatchNorm. A filter acts on them unless its class says otherwise with
    ``on_buffers``: ``"leave"`` lets them leave as they are, ``"refuse"`` lets nothing leave. An
    array that ``keys`` name in full is filtered in any case.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from flame_flwr.privacy import UpdateFilter
    >>> @dataclass(frozen=True)
    ... class Rounded(UpdateFilter):
    ...     digits: int
    ...     def change(self, update, noise):
    ...         return np.round(update, self.digits)
    >>> Rounded(1, keys="coef").change(np.array([0.123, -2.0]), noise=None)
    array([ 0.1, -2. ])
    """

    on_buffers: ClassVar[Literal["filter", "leave", "refuse"]] = "filter"

    words: ClassVar[str] = ""
    """What a report says that it does, with its parameters in braces."""

    # by name only, so that a subclass may have parameters without defaults
    _: KW_ONLY
    keys: str | Sequence[str] | None = parameter(_KEYS, None)
    missing: Literal["error", "skip"] = parameter(_MISSING, "error")

    def __post_init__(self) -> None:
        """Check before anything runs; a subclass that has checks of its own calls this, too."""
        check_parameters(self)

    @abstractmethod
    def change(self, update: np.ndarray, noise: Noise) -> np.ndarray:
        """Return the change that may leave.

        Parameters
        ----------
        update : ndarray of float64, shape (n,)
            The change of all chosen arrays, one behind the other; finite. It is the filter's own.
        noise : Noise
            Random numbers, of this filter and round.

        Returns
        -------
        ndarray of float64, shape (n,)
        """

    def in_blocks(self, update: Update, noise: Noise) -> Part:
        """Return what it makes of each block of an update; the framework's own filters override it.

        Parameters
        ----------
        update : Update
            May be looked at as often as needed.
        noise : Noise
            As for :meth:`change`.
        """
        return as_part(self.name, self.change(update.whole(), noise), update.size)

    def in_words(self) -> str:
        """Return what it does, for readers who write no Python."""
        said, keys = settings_in_words(self, self.words), keys_of(self)
        return f"{said} (of {', '.join(keys)})" if self.words and keys else said

    @property
    def name(self) -> str:
        """The filter's name in logs and records."""
        return type(self).__name__

    def mechanism(self) -> Mechanism | None:
        """Return what one round costs of the privacy budget; ``None``: it is not private."""
        return None

    def about(self) -> dict[str, Any]:
        """Return what records say of it: its name and its parameters that are not defaults."""
        given = plain_parameters(self)
        given.pop("seed", None)  # who knows it takes the noise off
        return {"filter": self.name, **given}


class BlockFilter(UpdateFilter):
    """A filter that says of each block what becomes of it, so that no second model is held."""

    @abstractmethod
    def in_blocks(self, update: Update, noise: Noise) -> Part:
        """Return what it makes of each block of an update."""

    def change(self, update: np.ndarray, noise: Noise) -> np.ndarray:
        """Return the change that may leave."""
        whole = Update([ArrayChange(update)])
        part = self.in_blocks(whole, noise)
        changed = np.empty(update.size)
        for start, block in whole:
            changed[start : start + block.size] = part(start, block)
        return changed


def check_filters(filters: object) -> tuple[UpdateFilter, ...]:
    """Check what a model declares as its filters.

    Raises
    ------
    ModelError
        It is no list of filters.
    """
    if filters is None:
        return ()
    if not isinstance(filters, list | tuple):
        raise ModelError("filters must be a list, such as filters=[Clip(1.0)]")
    for each in filters:
        if not isinstance(each, UpdateFilter):
            called = f"the class {each.__name__}" if isinstance(each, type) else repr(each)
            raise ModelError(
                "filters must hold filters of flame_flwr.privacy, such as Clip(1.0), or your own "
                f"subclasses of UpdateFilter, not {called}; disclosure rules go in `disclosure`"
            )
    return tuple(filters)


def with_seed(filters: Iterable[UpdateFilter], seed: int) -> tuple[UpdateFilter, ...]:
    """Return the same filters, with a seed where they draw noise without one."""
    given: list[Any] = list(filters)
    # what has no seed at all stays, as what has one of its own
    return tuple(
        dataclasses.replace(each, seed=seed) if getattr(each, "seed", seed) is None else each
        for each in given
    )
