"""Checking a skops file before skops reads it: nothing in it may grow when it is read.

For the sizes only. Which types a file may name is skops' own audit.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from flame_flwr.payload.npy import HEADER_LIMIT, check_npy

__all__ = ["check_archive"]


def check_archive(data: bytes) -> None:
    """Refuse a skops file that would take much more memory than it has bytes.

    Parameters
    ----------
    data : bytes
        A zip file, as skops writes it: its members are stored, not compressed.

    Raises
    ------
    ValueError
        A member is compressed, overlaps another or is an archive itself, an array's header
        claims more than is there, or the same member is to be read again and again.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        sizes = {member.filename: member.file_size for member in members}
        if len(sizes) != len(members):
            raise ValueError("two members of one name")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("a compressed member")
        if sum(sizes.values()) > len(data):
            raise ValueError("members larger than the file")
        for member in members:
            _check_member(archive, member)
        schema = json.loads(archive.read(_SCHEMA))
    if sum(sizes[name] for name in _references(schema)) > _ALLOWANCE + _GROWTH * len(data):
        raise ValueError("members that are read again and again")


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Check what `numpy.load` would see, whatever the member is called."""
    with archive.open(member) as file:
        start = file.read(HEADER_LIMIT)
    if start.startswith(b"\x93NUMPY"):
        check_npy(start, member.file_size)
    elif start.startswith(b"PK"):
        raise ValueError("an archive in the archive")


def _references(schema: Any) -> list[str]:
    """Return the file names that a schema mentions, each as often as it does."""
    found = []
    stack = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            name = node.get("file")
            if isinstance(name, str):
                found.append(name)
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    return found


_SCHEMA = "schema.json"
_ALLOWANCE = 16 * 2**20
_GROWTH = 8
