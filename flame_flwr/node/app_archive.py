"""An app's archive (Flower's FAB), read as a stranger's: with limits, and nothing of it is run."""

from __future__ import annotations

import hashlib
import io
import stat
import tomllib
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import FlameError
from flame_flwr.text.shown_text import printable
from flame_flwr.text.textfiles import flat

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LARGEST", "AppArchive", "ArchiveError", "digest_of"]

LARGEST = 10 * 2**20
"""Bytes of an archive: Flower's own limit."""

_MOST_FILES = 2000
_LARGEST_UNPACKED = 100 * 2**20
_MANIFEST = ".info/"
_PROJECT_FILE = "pyproject.toml"
_KINDS = {"serverapp", "clientapp"}


class ArchiveError(FlameError, ValueError):
    """An archive cannot be read, or holds another kind of app than may run at a node."""


@dataclass(frozen=True, slots=True)
class AppArchive:
    """An app as it is in its archive.

    Parameters
    ----------
    digest : str
        The archive's SHA-256, in hexadecimal digits.
    files : mapping of str to bytes
        What it holds, by path, without Flower's own list of it.
    about : mapping
        Its ``pyproject.toml``.
    """

    digest: str
    files: Mapping[str, bytes]
    about: Mapping[str, Any]

    @classmethod
    def read(cls, content: bytes) -> AppArchive:
        """Read an archive; what was read before is at hand.

        Raises
        ------
        ArchiveError
            It is none, is too large, or names files in a way that is not what it seems.
        """
        return _read(content)

    @property
    def name(self) -> str:
        """What apps of all versions have in common, ``publisher/name``."""
        return printable(f"{self._app.get('publisher', '?')}/{self._project.get('name', '?')}")

    @property
    def title(self) -> str:
        """Its name and version, as one line: it is printed, and kept with what was decided."""
        return printable(f"{self.name} {self._project.get('version', '?')}")

    @property
    def components(self) -> dict[str, Any]:
        """What its ``pyproject.toml`` says is started, by kind."""
        return _table(self._app, "components")

    @property
    def config(self) -> dict[str, Any]:
        """Its run config, with dots for tables."""
        return flat(_table(self._app, "config"))

    def check_kind(self) -> None:
        """See that it is a federated analysis: a ServerApp and a ClientApp, and nothing else.

        Raises
        ------
        ArchiveError
            It names another kind of component, or no ClientApp.
        """
        others = sorted(set(self.components) - _KINDS)
        if others:
            raise ArchiveError(
                f"a node runs federated analyses, and this app has {', '.join(map(str, others))}"
            )
        if not isinstance(self.components.get("clientapp"), str):
            raise ArchiveError("this app names no clientapp")

    @property
    def _app(self) -> dict[str, Any]:
        return _table(_table(_table(self.about, "tool"), "flwr"), "app")

    @property
    def _project(self) -> dict[str, Any]:
        return _table(self.about, "project")


def digest_of(content: bytes) -> str:
    """Return an archive's SHA-256, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


@lru_cache(maxsize=4)  # a node reads the same one for every message
def _read(content: bytes) -> AppArchive:
    if len(content) > LARGEST:
        raise ArchiveError(f"an app's archive has at most {LARGEST // 2**20} MB")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = _files(archive)
    except ArchiveError:
        raise
    except Exception as error:  # Python's library raises many kinds, zlib.error among them
        raise ArchiveError(f"the app's archive cannot be read: {error}") from error
    try:
        about = tomllib.loads(files[_PROJECT_FILE].decode())
    except KeyError:
        raise ArchiveError(f"the app's archive has no {_PROJECT_FILE}") from None
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"the app's {_PROJECT_FILE} cannot be read: {error}") from error
    return AppArchive(digest_of(content), files, about)


def _files(archive: zipfile.ZipFile) -> dict[str, bytes]:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    names = [entry.filename for entry in entries]
    if len(entries) > _MOST_FILES or sum(entry.file_size for entry in entries) > _LARGEST_UNPACKED:
        raise ArchiveError(
            f"an app has at most {_MOST_FILES} files, and {_LARGEST_UNPACKED // 2**20} MB of them"
        )
    for entry in entries:
        # Whoever reviews an app must see what is unpacked, and where: one file under each name.
        # "./app.py" would be unpacked over "app.py".
        if {"", ".", ".."} & set(entry.filename.split("/")):
            raise ArchiveError("the app's archive names a file outside itself, or in two ways")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArchiveError("the app's archive is packed otherwise than Flower packs one")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ArchiveError("the app's archive has a link in it")
    if len(set(names)) < len(names):
        raise ArchiveError("the app's archive has two files of one name")
    found = {entry.filename: _unpacked(archive, entry) for entry in entries}
    return {name: content for name, content in found.items() if not name.startswith(_MANIFEST)}


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return a file; its size is what its entry says, and no more is unpacked than that.

    ``ZipFile.read`` unpacks gigabytes first, and then takes as many bytes as the entry says.
    """
    size = entry.file_size
    entry.file_size += 1  # so that the end has to come by itself, where the checksum is looked at
    try:
        with archive.open(entry) as file:
            content = file.read(size + 1)
    finally:
        entry.file_size = size
    if len(content) != size:
        raise ArchiveError("the app's archive holds a file of another size than it says")
    return content


def _table(tables: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = tables.get(name)
    return found if isinstance(found, dict) else {}
