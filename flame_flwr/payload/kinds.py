"""A row of the wire format's table: which types travel under a code, and how.

The rows themselves stand with their packages (``python_types``, ``numpy_types``, ...) and
are put together in ``table``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgpack import ExtType

from flame_flwr.payload.screening import screen, typed
from flame_flwr.payload.wire_format import RefusedError

if TYPE_CHECKING:
    from flame_flwr.payload.decoder import Decoder
    from flame_flwr.payload.encoder import Encoder

__all__ = ["BesideKind", "Choice", "Kind", "Refusal"]


@dataclass(frozen=True, eq=False)
class Kind:
    """One row: what travels under one code.

    Parameters
    ----------
    code : int
        Its number on the wire. Once released it keeps its meaning for ever; a new kind gets a
        new one.
    types : tuple of type or str
        Values of exactly these types are packed so. A type of a package that is not to be
        imported for it is named, ``"package:name"``.
    pack : callable
        Gives the parts that a value is made of.
    restore : callable
        Gives the value back, for its parts one by one. It checks what `expects` does not.
    expects : tuple of type, optional
        The exact type of each part that must arrive; ``object`` for any. Without it any
        number of parts may, and `restore` gets them as one list.
    screened : bool
        Whether its parts are values of the user's, to be looked through for disguised bytes.
    cost : int or callable
        About how many bytes a value takes, or how many others take the time to build it; or what
        says that of the parts. See :class:`flame_flwr.payload.work.Work`.
    """

    code: int
    types: tuple[type[Any] | str, ...]
    pack: Callable[..., Iterable[Any]]
    restore: Callable[..., Any]
    expects: tuple[type[Any], ...] | None = None
    screened: bool = False
    cost: int | Callable[[list[Any]], int] = 256

    @cached_property
    def marker(self) -> ExtType:
        """The first element of its tagged lists."""
        return ExtType(self.code, b"")

    def may_be_in(self, header: bytes) -> bool:
        """Tell whether a header may hold the marker, in any form that msgpack may write it in.

        The bytes of a text or number may be the same by chance.
        """
        for form in self._forms:  # noqa: SIM110  (`any` is slower: it is asked of every answer)
            if form in header:
                return True
        return False

    @cached_property
    def _forms(self) -> list[bytes]:
        code = bytes([self.code])  # behind ext 8, 16 and 32 with a length of 0, as msgpack has it
        return [form + code for form in (b"\xc7\0", b"\xc8\0\0", b"\xc9\0\0\0\0")]

    def tagged(self, value: Any, encoder: Encoder) -> list[Any]:
        """Turn a value into its tagged list."""
        parts = self.pack(value)
        return [self.marker, *(screen(list(parts)) if self.screened else parts)]

    def restored(self, parts: list[Any], decoder: Decoder) -> Any:
        """Turn what followed a marker into a value again."""
        if self.expects is None:
            return self.restore(parts)
        self.check(parts)  # so that `restore` can rely on it: types are exact, and no subclasses
        return self.restore(*parts)

    def check(self, parts: list[Any]) -> None:
        """Check number and types of the parts that arrived.

        Raises
        ------
        ValueError, TypeError
            They do not fit.
        """
        if len(parts) != len(self.expects or ()):
            raise ValueError("a tagged list with too many or too few parts")
        for place, cls in self._exact:  # only those: it is done for every value that arrives
            if type(parts[place]) is not cls:
                typed(parts[place], cls)

    @cached_property
    def _exact(self) -> list[tuple[int, type[Any]]]:
        return [(place, cls) for place, cls in enumerate(self.expects or ()) if cls is not object]


class BesideKind(Kind):
    """A row with parts that may travel beside the header.

    `pack` gets the encoder after the value, and `restore` the decoder before the parts.
    """

    def tagged(self, value: Any, encoder: Encoder) -> list[Any]:
        """Turn a value into its tagged list."""
        return [self.marker, *self.pack(value, encoder)]

    def restored(self, parts: list[Any], decoder: Decoder) -> Any:
        """Turn what followed a marker into a value again."""
        self.check(parts)
        return self.restore(decoder, *parts)


@dataclass(frozen=True, eq=False)
class Choice:
    """A row of types that travel in one of several ways, which their values say."""

    types: tuple[type[Any] | str, ...]
    kind_of: Callable[[Any], Kind]

    def tagged(self, value: Any, encoder: Encoder) -> list[Any]:
        """Turn a value into its tagged list."""
        return self.kind_of(value).tagged(value, encoder)


@dataclass(frozen=True, eq=False)
class Refusal:
    """A row of types that do not travel, with what the user can do instead."""

    types: tuple[type[Any] | str, ...]
    ways_out: str

    def tagged(self, value: Any, encoder: Encoder) -> list[Any]:
        """Refuse the value."""
        raise RefusedError(value, self.ways_out)
