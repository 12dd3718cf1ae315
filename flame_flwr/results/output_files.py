"""From a final result to the contents of files: ``output_type``, ``filename``, many results.

The rules are ``STAR.md``'s. What can be checked is checked when the model is built; the rest is
found by :meth:`Outputs.render`, after training, which is why the caller then rescues the result.
"""

from __future__ import annotations

import os
import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import normpath
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from flame_flwr.errors import ModelError, ResultError
from flame_flwr.results.text_form import file_text

__all__ = ["OUTPUT_TYPES", "RESERVED", "Outputs", "files_of"]

OUTPUT_TYPES = ("str", "bytes", "pickle")

_ENDINGS = {"str": ".txt", "bytes": ".bin", "pickle": ".pkl"}
"""What a name without an extension gets."""

_COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zst"})

RESERVED = frozenset(
    {
        *("run.json", "history.csv", "report.html", "tensorboard"),
        *("rescue.pkl", "rescue.txt", "scratch"),
    }
)
"""Names that a run's folder needs for itself."""

_LONGEST_NAME = 240
"""Bytes. File systems take 255; numbering needs a few of them."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Which files a final result becomes.

    Parameters
    ----------
    types : str or tuple of str
        ``'str'``, ``'bytes'`` or ``'pickle'``: one for all files, or a tuple with one per file.
    names : str, tuple of str or None
        A single name, which is numbered where there are many files; or a tuple with one per
        file; or none.
    many : bool
        Whether every element of the result is a file of its own.

    Examples
    --------
    >>> outputs = Outputs.declare("str", ["mean.txt", "sexes.txt"], multiple_results=True)
    >>> outputs.render([81.5, {"f": 3}])[0]
    ('mean.txt', b'81.5')
    """

    types: str | tuple[str, ...]
    names: str | tuple[str, ...] | None
    many: bool

    def has(self, name: str) -> bool:
        """Tell whether a file is declared to be called so."""
        names = (self.names,) if isinstance(self.names, str) else self.names or ()
        return any(PurePath(each).name == name for each in names)

    @classmethod
    def declare(
        cls,
        output_type: str | Sequence[str],
        filename: str | PurePath | Sequence[str | PurePath] | None,
        multiple_results: bool,
        *,
        paths: bool = False,
    ) -> Outputs:
        """Check what a model declares.

        Parameters
        ----------
        output_type, filename, multiple_results
            As in ``StarModel``.
        paths : bool
            Whether `filename` may be a path (a local test) and not only a name.

        Raises
        ------
        ModelError
            An unknown type, a list without ``multiple_results``, lists of different lengths, a
            name that would leave the folder or that stands twice.
        """
        types = _types(output_type)
        names = _names(filename)
        for value in (types,) if isinstance(types, str) else types:
            if value not in OUTPUT_TYPES:
                raise ModelError(
                    f"output_type must be one of {', '.join(OUTPUT_TYPES)}, not {value!r}"
                )
        listed = {"output_type": types, "filename": names}
        lengths = {key: len(value) for key, value in listed.items() if isinstance(value, tuple)}
        if lengths and not multiple_results:
            raise ModelError(f"{' and '.join(lengths)}: a list needs multiple_results=True")
        if len(set(lengths.values())) > 1:
            raise ModelError(
                f"output_type has {len(types)} entries and filename has {lengths['filename']}: "
                "they must be as many, in the same order"
            )
        if 0 in lengths.values():
            raise ModelError(f"{' and '.join(lengths)} must not be empty")
        for name in cls(types, names, multiple_results).listed:
            _check_name(name, paths)
        declared = cls(types, _complete(names, types), multiple_results)
        # Once more: with its extension `rescue` is the run's own `rescue.pkl`, or too long.
        for name in declared.listed:
            _check_name(name, paths)
        # Of one file there may be several names: `a.txt` and `./a.txt`.
        paths_of = Counter(map(normpath, declared.listed))
        if twice := [name for name, count in paths_of.items() if count > 1]:
            raise ModelError(f"filename has {twice[0]!r} twice")
        return declared

    @property
    def listed(self) -> tuple[str, ...]:
        """The names that are declared, in order; a single one may still get numbers."""
        return (self.names,) if isinstance(self.names, str) else self.names or ()

    def render(self, result: Any) -> list[tuple[str, bytes]]:
        """Return the files: name and content, in the order of the result.

        Raises
        ------
        ResultError
            The result does not fit what was declared.
        """
        return [(name, _content(value, kind, name)) for name, kind, value in self._parts(result)]

    def check(self, result: Any) -> None:
        """Check that a result fits, without writing its text.

        Raises
        ------
        ResultError
            As for :meth:`render`.
        """
        for name, kind, value in self._parts(result):
            # Anything has a text, and a large table's is expensive to make.
            if kind != "str":
                _content(value, kind, name)

    def _parts(self, result: Any) -> list[tuple[str, str, Any]]:
        """Return name, type and value of each file."""
        if not self.many:
            name = self.names if isinstance(self.names, str) else "result"
            kind = self.types if isinstance(self.types, str) else self.types[0]
            return [(name, kind, result)]
        if not isinstance(result, list | tuple):
            raise ResultError(
                "multiple_results=True needs a list or tuple as the result, one element per file; "
                f"it is of type {type(result).__name__}"
            )
        count = len(result)
        types = (self.types,) * count if isinstance(self.types, str) else self.types
        names = self.names if isinstance(self.names, tuple) else self._numbered(count, types)
        if not count == len(types) == len(names):
            files = f" and filename {len(names)}" if self.names is not None else ""
            raise ResultError(
                f"the result has {count} elements, output_type {len(types)}{files}: they must be "
                "as many, in the same order"
            )
        return list(zip(names, types, result, strict=True))

    def folder(self) -> PurePath:
        """Return the folder of the first file, relative to where the files are written."""
        return PurePath(self.listed[0] if self.listed else "result").parent

    def _numbered(self, count: int, types: Sequence[str]) -> tuple[str, ...]:
        if self.names is None:
            return tuple(f"result_{i}" for i in range(1, count + 1))
        path = PurePath(str(self.names))
        name, ending = _parts(path.name)
        numbered = (str(path.with_name(f"{name}_{i}{ending}")) for i in range(1, count + 1))
        return tuple(map(_with_extension, numbered, types))


def _complete(
    names: str | tuple[str, ...] | None, types: str | tuple[str, ...]
) -> str | tuple[str, ...] | None:
    """Give names without an extension the one of their type, where they are one file each."""
    if names is None or (isinstance(names, str) and isinstance(types, tuple)):
        return names
    if isinstance(names, str):
        return _with_extension(names, str(types))
    kinds = (types,) * len(names) if isinstance(types, str) else types
    return tuple(map(_with_extension, names, kinds))


def _with_extension(name: str, kind: str) -> str:
    """Return a bare file name with the extension of its type; a folder is refused elsewhere."""
    # Not `Path.exists`, which raises for what cannot be looked at: whoever writes it says that.
    no_file = name.endswith("/") or (os.path.exists(name) and not os.path.isfile(name))
    return name if "." in PurePath(name).name or no_file else name + _ENDINGS[kind]


def _parts(name: str) -> tuple[str, str]:
    """Return a file's name and its extension; of what is compressed, both: ``.tar.gz``."""
    path = PurePath(name)
    endings = path.suffixes[-2:] if path.suffix in _COMPRESSED else path.suffixes[-1:]
    ending = "".join(endings)
    return name.removesuffix(ending), ending


def _types(output_type: str | Sequence[str]) -> str | tuple[str, ...]:
    if isinstance(output_type, str):
        return output_type
    if not isinstance(output_type, list | tuple):
        raise ModelError(
            f"output_type must be one of {', '.join(OUTPUT_TYPES)}, or a list of them, "
            f"not {output_type!r}"
        )
    return tuple(output_type)


def _names(
    filename: str | PurePath | Sequence[str | PurePath] | None,
) -> str | tuple[str, ...] | None:
    if filename is None:
        return None
    if isinstance(filename, str | PurePath):
        return str(filename)
    listed = isinstance(filename, list | tuple)
    if not listed or not all(isinstance(name, str | PurePath) for name in filename):
        raise ModelError(f"filename must be a name or a list of names, not {filename!r}")
    return tuple(str(name) for name in filename)


def files_of(strategy: object) -> Outputs | None:
    """Return the files that a strategy declares; ``None`` where it declares none.

    Raises
    ------
    ModelError
        It has an attribute ``files`` of another kind: files are declared as ``outputs``.
    """
    files = getattr(strategy, "files", None)
    if files is None or isinstance(files, Outputs):
        return files
    raise ModelError(
        f"{type(strategy).__name__} has an attribute `files`, which declares nothing: a "
        "ReduceStrategy declares its files as `outputs`; call it otherwise if it is something else"
    )


def _check_name(name: str, paths: bool) -> None:
    if not name.strip() or "\0" in name or PurePosixPath(name).name in ("", ".", ".."):
        raise ModelError(f"filename {name!r} is not a file's name")
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in PurePath(name).parts):
        raise ModelError(f"filename {name!r} is longer than file systems take")
    if paths:
        return
    # Also what is a path on Windows only: results are fetched there, too.
    outside = "/" in name or "\\" in name or name == ".." or PureWindowsPath(name).drive
    if outside:
        raise ModelError(
            f"filename {name!r} must be a name without folders: the file goes into the run's "
            "folder under `results`"
        )
    if name in RESERVED:
        raise ModelError(f"filename {name!r} is taken by the run's own files: choose another")


def _content(value: Any, kind: str, name: str) -> bytes:
    if kind == "str":
        return file_text(value, name).encode("utf-8")
    if kind == "pickle":
        return pickle.dumps(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:  # whose bytes are addresses
        return value.tobytes()
    raise ResultError(
        f"{name}: output_type 'bytes' needs bytes or an ndarray (not of objects); the result is a "
        f"{type(value).__name__}; declare output_type 'str' or 'pickle' for it"
    )
