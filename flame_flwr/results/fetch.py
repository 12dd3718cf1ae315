"""The runs in a store of results: listed, and fetched with every file checked.

A store is not trusted: names that lead out of the folder, files of another size or hash and
records that are none are refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import StoreError
from flame_flwr.results.delivery import RECORD, plain_name
from flame_flwr.store import BRIEF, open_store

if TYPE_CHECKING:
    from flame_flwr.store import Store

__all__ = ["ListedFile", "ListedRun", "fetch", "runs"]

_RUN = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-\d+")
_HASH = re.compile(r"[0-9a-f]{64}")
_LARGEST_RECORD = 64 * 2**20


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file as ``run.json`` lists it: name relative to the run, size in bytes, SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run in a store.

    Attributes
    ----------
    name : str
        Of its folder: when it started, and Flower's id.
    status : str
        ``completed``, ``failed``; ``unfinished`` without a ``run.json``; ``unreadable``.
    app : str
        Id and version of the app, where known.
    rounds : int or None
        How many were finished.
    files : int
        How many there are.
    size : int
        Bytes of all files.
    """

    name: str
    status: str
    app: str
    rounds: int | None
    files: int
    size: int


def runs(place: str) -> list[ListedRun]:
    """Return the runs in a store, the newest first.

    Parameters
    ----------
    place : str
        What the runs had as `results`: an ``s3://`` URL or a folder.

    Raises
    ------
    ConfigError
        The URL or the environment cannot be.
    StoreError
        The store cannot be read.
    """
    store = open_store(place, BRIEF)
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda name: _listed(store, name), _names(store)))


def fetch(place: str, run: str, to: str | Path) -> Path:
    """Fetch one run into a folder of its own, complete or not at all, and return the folder.

    Parameters
    ----------
    place : str
        The store.
    run : str
        The run's name or its id, or the unique beginning of one.
    to : str or Path
        Where the folder is made; it must not be there yet.

    Raises
    ------
    StoreError
        No such run, more than one, or not finished; a file is missing, or is not what
        ``run.json`` says; the folder is there already or cannot be written.
    """
    store = open_store(place, BRIEF)
    name = _chosen(_names(store), run, store.place)
    target = Path(to).expanduser().absolute() / name
    if os.path.lexists(target):
        raise StoreError(f"{target} is there already: remove it, or name another folder")
    record = _record(store, name)
    if record is None:
        raise StoreError(
            f"{name} is not finished: it has no {RECORD}. Ask again later; where its server ended "
            "in the middle, it stays so"
        )
    files = _files(record, name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".flame-flwr-", dir=target.parent) as temporary:
            folder = Path(temporary, name)
            folder.mkdir()
            for file in files:
                _fetch_file(store, name, file, folder / file.name)
            (folder / RECORD).write_bytes(record)
            if os.path.lexists(target):
                raise StoreError(f"{target} is there already")
            os.rename(folder, target)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{target} could not be written ({error})") from error
    return target


def _names(store: Store) -> list[str]:
    return sorted((name for name in store.folders() if _RUN.fullmatch(name)), reverse=True)


def _chosen(names: list[str], run: str, place: str) -> str:
    """Return the one run that is meant."""
    ids = {name: name.rpartition("-")[2] for name in names}
    exact = [name for name in names if run in (name, ids[name])]
    found = exact or [name for name in names if name.startswith(run) or ids[name].startswith(run)]
    if not run or not found:
        raise StoreError(
            f"there is no run {run!r} in {place}: `flame-flwr results {place}` lists those there"
        )
    if len(found) > 1:
        shown = ", ".join(found[:5])
        raise StoreError(f"{run!r} is the beginning of {len(found)} runs: {shown}; say more of it")
    return found[0]


def _record(store: Store, name: str) -> bytes | None:
    """Return ``run.json``; ``None`` where there is none."""
    try:
        content = b"".join(store.chunks(f"{name}/{RECORD}", _LARGEST_RECORD))
    except FileNotFoundError:
        return None
    if len(content) > _LARGEST_RECORD:
        raise StoreError(f"{RECORD} of {name} is larger than any: it is not read")
    return content


def _about(record: bytes, name: str) -> dict[str, Any]:
    try:
        about = json.loads(record)
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        raise StoreError(f"{RECORD} of {name} is damaged: it is not what a run writes")
    return about


def _files(record: bytes, name: str) -> list[ListedFile]:
    """Return the files that a record lists, each of them checked."""
    about = _about(record, name)
    entries = [about.get("files", []), about.get("other_files", [])]
    if not all(isinstance(entry, list) for entry in entries):
        raise StoreError(f"{RECORD} of {name} is damaged: its files are no list")
    files = [_file(entry, name) for entry in [*entries[0], *entries[1]]]
    if len({file.name for file in files} | {RECORD}) <= len(files):
        raise StoreError(f"{RECORD} of {name} lists a file twice: nothing was fetched")
    return files


def _file(entry: Any, name: str) -> ListedFile:
    entry = entry if isinstance(entry, dict) else {}
    file, size, digest = entry.get("name"), entry.get("bytes"), entry.get("sha256")
    if not isinstance(file, str) or not plain_name(file):
        raise StoreError(
            f"{RECORD} of {name} lists a file whose name leads out of its folder or cannot be "
            f"shown: nothing was fetched; tell whoever runs the store. The name is {file!a:.200}"
        )
    whole = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    if not whole or not isinstance(digest, str) or not _HASH.fullmatch(digest):
        raise StoreError(f"{RECORD} of {name} has no size or SHA-256 of {file}: nothing to check")
    assert isinstance(size, int)
    return ListedFile(file, size, digest)


def _fetch_file(store: Store, run: str, file: ListedFile, target: Path) -> None:
    """Write one file, and see that it is what the record says."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    try:
        with target.open("xb") as output:
            for chunk in store.chunks(f"{run}/{file.name}", file.size):
                output.write(chunk)
                digest.update(chunk)
                size += len(chunk)
    except FileNotFoundError:
        raise StoreError(f"{file.name} of {run} is not in the store: nothing was fetched") from None
    if size != file.size or digest.hexdigest() != file.sha256:
        what = "its SHA-256 is another" if size == file.size else "its size is another"
        raise StoreError(
            f"{file.name} of {run} is not the file that the run wrote ({what} than in {RECORD}): "
            "nothing was fetched; ask for the server's copy"
        )


def _listed(store: Store, name: str) -> ListedRun:
    """Return what a list shows of a run."""
    record = _record(store, name)
    if record is None:
        sizes = store.sizes(name)
        return ListedRun(name, "unfinished", "", None, len(sizes), sum(sizes.values()))
    try:
        about, files = _about(record, name), _files(record, name)
    except StoreError:
        return ListedRun(name, "unreadable", "", None, 1, len(record))
    rounds = about.get("rounds")
    return ListedRun(
        name,
        str(about.get("status", "")),
        str(about.get("app", "")),
        rounds if isinstance(rounds, int) else None,
        len(files) + 1,
        sum(file.size for file in files) + len(record),
    )
