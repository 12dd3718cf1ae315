"""Looking into a payload without running anything that its sender may have chosen.

For a party that passes values on and needs to see what they are: a hospital's node. Classes that
users taught the format, scikit-learn estimators and pickles are not built; they stay as they came,
and travel on unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from msgpack import ExtType, unpackb

from flame_flwr.errors import PayloadError
from flame_flwr.payload import user_types
from flame_flwr.payload.codec import checked
from flame_flwr.payload.decoder import Decoder, HeaderLimits, Tag
from flame_flwr.payload.estimators import ESTIMATOR
from flame_flwr.payload.screening import screen
from flame_flwr.payload.table import BY_TYPE, PICKLE

if TYPE_CHECKING:
    from flame_flwr.payload.codec import Payload
    from flame_flwr.payload.encoder import Encoder

__all__ = ["LIMITS", "Looked", "Opaque", "holds_pickle", "look_into"]

LIMITS = HeaderLimits(header=64 * 2**20, elements=2_000_000)
"""What a header may be made of where it is looked into: more than that belongs into arrays.

A list of a million numbers passes, and whatever passes is looked through within seconds.
"""

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, eq=False)
class Opaque:
    """A part of a value that was not built.

    Attributes
    ----------
    what : {'type', 'estimator', 'pickle'}
        A class of the users' own, an estimator of scikit-learn's, or a pickle.
    name : str
        Of a class, as it was registered, which its sender chose; else empty.
    plain : Any
        What a class's `to` made of the object, which may hold opaque parts itself; of others
        ``None``.
    parts : tuple
        What follows the marker on the wire.
    """

    what: Literal["type", "estimator", "pickle"]
    name: str
    plain: Any
    parts: tuple[Any, ...]

    def __str__(self) -> str:
        """Return what it is, without a name that its sender chose."""
        return _WORDS[self.what]


class Looked(NamedTuple):
    """What `look_into` found.

    Attributes
    ----------
    value : Any
        The value; its large arrays are the payload's own, and may be read-only.
    opaque : list of Opaque
        What could not be looked into, in the order of the wire.
    """

    value: Any
    opaque: list[Opaque]


def look_into(payload: Payload) -> Looked:
    """Restore a value, but for what would run its sender's code or a package's.

    Parameters
    ----------
    payload : Payload
        Taken as hostile.

    Raises
    ------
    PayloadError
        It is not valid, or its header is larger than :data:`LIMITS`.

    Examples
    --------
    >>> from flame_flwr.payload import decode, encode
    >>> payload = encode({"n": 3, "when": 2j})
    >>> look_into(payload).value
    {'n': 3, 'when': 2j}
    """
    found: list[Opaque] = []
    hidden = {
        user_types.USER_TYPE.code: Tag(lambda parts, decoder: _user_type(parts, decoder, found)),
        ESTIMATOR.code: Tag(lambda parts, decoder: _blob("estimator", parts, decoder, found)),
        PICKLE.code: Tag(lambda parts, decoder: _blob("pickle", parts, decoder, found)),
    }
    decoder = Decoder(payload.arrays, False, copies=False, limits=LIMITS, instead=hidden)
    return Looked(checked(decoder, payload), found)


def holds_pickle(payload: Payload) -> bool:
    """Tell whether a pickle is anywhere in a payload, also in one that is too large to look into.

    Raises
    ------
    PayloadError
        It is not valid, or its header is larger than :data:`LIMITS` and may hold one.

    Examples
    --------
    >>> from flame_flwr.payload import encode
    >>> payload = encode({"x": object()}, allow_pickle=True)
    >>> holds_pickle(payload), holds_pickle(encode({"x": 3}))
    (True, False)
    """
    if not PICKLE.may_be_in(payload.header):  # so for nearly every one, and it is asked of each
        return False
    if len(payload.header) > LIMITS.header:
        raise PayloadError(
            f"the value has more than {LIMITS.header} bytes beside its arrays, so nobody can say "
            "whether a pickle is in it: return what is long as an array"
        )
    found = set()
    try:
        # Nothing is built but one list at a time, so its elements need no limit.
        unpackb(
            payload.header,
            ext_hook=lambda code, data: found.add(code),
            list_hook=lambda items: None,
            object_hook=lambda items: None,
            strict_map_key=False,
            unicode_errors="surrogatepass",
        )
    except Exception as error:
        raise PayloadError("What arrived is not a valid payload.") from error
    return PICKLE.code in found


def _user_type(parts: list[Any], decoder: Decoder, found: list[Opaque]) -> Any:
    user_types.USER_TYPE.check(parts)
    name, plain = parts
    if user_types.is_of_the_framework(name):
        return user_types.USER_TYPE.restored(parts, decoder)
    if len(name) > _LONGEST_NAME:
        raise PayloadError("What arrived is not a valid payload: a type's name is too long.")
    found.append(Opaque("type", name, plain, (name, plain)))
    return found[-1]


def _blob(
    what: Literal["estimator", "pickle"], parts: list[Any], decoder: Decoder, found: list[Opaque]
) -> Opaque:
    [place] = parts
    # Few bytes are in the header; more are an array beside it, which goes on as it is.
    data = place if type(place) is bytes else decoder.take(place)
    found.append(Opaque(what, "", None, (data,)))
    return found[-1]


class _AsItCame:
    """The row of opaque parts: they are packed as they were."""

    def tagged(self, value: Opaque, encoder: Encoder) -> list[Any]:
        marker = _MARKERS[value.what]
        if value.what == "type":
            return [marker, *screen(list(value.parts))]
        [data] = value.parts
        return [marker, data if type(data) is bytes else encoder.place(data)]


_MARKERS: dict[str, ExtType] = {
    "type": user_types.USER_TYPE.marker,
    "estimator": ESTIMATOR.marker,
    "pickle": PICKLE.marker,
}
_WORDS = {
    "type": "value of a type of the analysis's own",
    "estimator": "scikit-learn estimator",
    "pickle": "pickle",
}
BY_TYPE[Opaque] = _AsItCame()  # type: ignore[assignment]
