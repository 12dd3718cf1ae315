"""Checking a skops file before skops reads it: nothing in it may grow when it is read.

For the sizes, and for the nodes that a file is made of. Which of them may be is not said here.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

from flame_flwr.payload.npy import HEADER_LIMIT, check_npy

__all__ = ["check_archive", "kinds"]


def check_archive(data: bytes) -> Any:
    """Refuse a skops file that would take much more memory than it has bytes.

    Parameters
    ----------
    data : bytes
        A zip file, as skops writes it: its members are stored, not compressed.

    Returns
    -------
    object
        The file's schema, for :func:`kinds`.

    Raises
    ------
    ValueError
        A member is compressed, overlaps another or is an archive itself, an array's header
        claims more than is there, or the same member is to be read again and again.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        sizes = {member.filename: member.file_size for member in members}
        # `open` gives the last one of a name, so that the sizes of the others would be nobody's.
        if len(sizes) != len(members):
            raise ValueError("two members of one name")
        # Deflate makes a thousand bytes of one; skops itself stores members as they are.
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("a compressed member")
        # Entries of the directory may all name the same bytes: a "zip bomb" without compression.
        if sum(sizes.values()) > len(data):
            raise ValueError("members larger than the file")
        for member in members:
            _check_member(archive, member)
        schema = json.loads(archive.read(_SCHEMA))
    # skops reads a member anew for every node of the schema that names it.
    if sum(sizes[name] for name in _references(schema)) > _ALLOWANCE + _GROWTH * len(data):
        raise ValueError("members that are read again and again")
    return schema


def kinds(schema: Any) -> set[tuple[str, str, str]]:
    """Return module, class and loader of every node that skops would make of a schema.

    Raises
    ------
    ValueError
        One of the three is no text.
    """
    found = set()
    for node in _dicts(schema):
        if any(f"__{part}__" in node for part in _TYPE):
            module, name, loader = (node.get(f"__{part}__") for part in _TYPE)
            if not (isinstance(module, str) and isinstance(name, str) and isinstance(loader, str)):
                raise ValueError("a node without a type")
            found.add((module, name, loader))
    return found


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Check what `numpy.load` would see, whatever the member is called."""
    # By the first bytes, as `numpy.load` does: it takes a zip file for one with more arrays in it.
    with archive.open(member) as file:
        start = file.read(HEADER_LIMIT)
    if start.startswith(b"\x93NUMPY"):
        check_npy(start, member.file_size)
    elif start.startswith(b"PK"):
        raise ValueError("an archive in the archive")


def _references(schema: Any) -> list[str]:
    """Return the file names that a schema mentions, each as often as it does."""
    names = [node.get("file") for node in _dicts(schema)]
    return [name for name in names if isinstance(name, str)]


def _dicts(schema: Any) -> Iterator[dict[str, Any]]:
    stack = [schema]
    while stack:  # not by recursion: the schema may be nested as deep as its sender likes
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


_SCHEMA = "schema.json"
_TYPE = ("module", "class", "loader")
_ALLOWANCE = 16 * 2**20
_GROWTH = 8
"""What all members that are read may have together: so many bytes, and so many times the file's."""
