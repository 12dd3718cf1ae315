"""The change of a result's float arrays, on which filters act.

For which arrays a filter acts on; how it does, block by block, is ``update_blocks``', and which
filters there are and in which order they act is ``filter_chain``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.buffer_names import is_buffer, names_in
from flame_flwr.errors import ModelError
from flame_flwr.log import logger
from flame_flwr.privacy.float_arrays import Path, array_at, chosen, dotted, float_arrays, replaced
from flame_flwr.privacy.sparse_changes import shortened
from flame_flwr.privacy.update_blocks import ArrayChange, Update
from flame_flwr.privacy.update_filter import UpdateFilter, keys_of

if TYPE_CHECKING:
    from flame_flwr.privacy.noise import Noise

__all__ = ["Changes"]


class Changes:
    """The change of every array of a result that a filter has asked for."""

    def __init__(self, result: Any, aggregate: Any, number: int) -> None:
        self._result = result
        self._found = dict(float_arrays(result))
        names = names_in(result)
        self._buffers = {place for place in self._found if _is_buffer(place, names)}
        self._aggregate = aggregate
        self._number = number
        self._changes: dict[Path, ArrayChange] = {}
        self._sparse: set[Path] = set()

    def filter(self, each: UpdateFilter, noise: Noise) -> bool:
        """Have a filter act on its arrays, and tell whether it found any."""
        places = self._places(each)
        if places:
            update = Update([self._change(place, each) for place in places])
            update.changed_by(each, noise)
            if getattr(each, "sparse", False) is True:
                self._sparse.update(places)
        return bool(places)

    def replaced(self, *, sparse: bool = False) -> Any:
        """Return the result with the filtered arrays, of shape and type as they were.

        Parameters
        ----------
        sparse : bool
            Whether arrays of filters that are sparse may be their changes, where these are shorter.
        """
        filtered: dict[Path, Any] = {
            place: change.result() for place, change in self._changes.items()
        }
        if sparse and self._sparse:
            few = {place: filtered[place] for place in self._sparse}
            filtered |= shortened(few, self._aggregate)
        return replaced(self._result, filtered)

    def _places(self, each: UpdateFilter) -> list[Path]:
        keys = keys_of(each)
        named = {place: chosen(place, keys) for place in self._found}
        if each.on_buffers != "filter":
            # those that a key names in full are meant, and filtered like the rest
            buffers = {
                place for place in self._buffers if named[place] not in (None, dotted(place))
            }
            if buffers and each.on_buffers == "refuse":
                raise _on_buffers(each, buffers)
            named = {place: key for place, key in named.items() if place not in buffers}
        places = [place for place, key in named.items() if key is not None]
        if each.missing == "error":
            for number, key in enumerate([""] if keys is None else keys, start=1):
                if key not in named.values():
                    at = f"at number {number} of its keys" if key else "anywhere"
                    raise ModelError(
                        f"{each.name}: the result has no NumPy array of floats {at}. Return one, "
                        "or say missing='skip' for rounds without",
                        detail=key or None,
                    )
        return places

    def _change(self, place: Path, each: UpdateFilter) -> ArrayChange:
        """Return an array's change as the filters before have left it."""
        if place not in self._changes:
            array = self._found[place]
            _check_plain(array, place, each, "result")
            change = ArrayChange(array, self._reference(place, array, each))
            # NaN would pass every bound: no comparison with it is true
            if not change.is_finite():
                raise ModelError(
                    f"{each.name}: a filter takes finite numbers, and an array of the result or "
                    "of the aggregate holds NaN or infinity, or its change is too large",
                    detail=str(place),
                )
            self._changes[place] = change
        return self._changes[place]

    def _reference(self, place: Path, array: np.ndarray, each: UpdateFilter) -> np.ndarray | None:
        before = array_at(self._aggregate, place)
        if before is None and self._number > 1:
            logger.warning(
                "filters: the aggregate has no array in the place of one of the result's, so "
                "its change is counted from zero"
            )
        if before is not None:
            _check_plain(before, place, each, "aggregate")
        if before is not None and before.shape != array.shape:
            raise ModelError(
                f"{each.name}: an array of the result has the shape {array.shape}, and the "
                f"aggregate's in the same place {before.shape}: there is no change to filter",
                detail=str(place),
            )
        return before


def _check_plain(array: np.ndarray, place: Path, each: UpdateFilter, whose: str) -> None:
    """Refuse arrays that are more than their numbers: what is under a mask must not leave."""
    if isinstance(array, np.ma.MaskedArray):
        kind, mend = "a masked array", "Fill what is masked first, with .filled(0.0)"
    elif isinstance(array, np.matrix):
        kind, mend = "a numpy.matrix", "Turn it into a plain array with numpy.asarray(...)"
    else:
        return
    raise ModelError(
        f"{each.name}: an array of the {whose} is {kind}, and a filter takes plain arrays. {mend}",
        detail=str(place),
    )


def _is_buffer(place: Path, names: Sequence[str]) -> bool:
    """Tell whether an array is a buffer; names count from the model, which is under one key."""
    return is_buffer(dotted(place[1:]), names) or is_buffer(dotted(place), names)


def _on_buffers(each: UpdateFilter, buffers: Iterable[Path]) -> ModelError:
    return ModelError(
        f"{each.name}: the model has buffers, such as BatchNorm's running variance. With noise on "
        "them it is of no use (a variance can get below zero), and without they would say exact "
        "figures of this node's patients. Use layers without buffers, such as GroupNorm or "
        "LayerNorm; or name with `keys` the arrays that noise is added to, and what else is in the "
        "result leaves as it is",
        detail=", ".join(sorted(map(dotted, buffers))),
    )
