"""The runs in a store of results: listed, and fetched with every file checked.

A store is not trusted: names that lead out of the folder, files of another size or hash and
records that are none are refused.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flame_flwr.errors import StoreError
from flame_flwr.processes.threads import call_each
from flame_flwr.results.runs_place import RUN_NAME, RunsPlace
from flame_flwr.results.upload import RECORD, plain_name
from flame_flwr.text.foreign_json import json_or_none

__all__ = ["ListedFile", "ListedRun", "fetch", "listed_files", "runs"]

_HASH = re.compile(r"[0-9a-f]{64}")


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
        The name of its folder: start time and Flower's id; any other for a run in one process.
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
    started : str
        The day and time, such as ``2026-11-21 04:05``; empty where it is not known.
    """

    name: str
    status: str
    app: str
    rounds: int | None
    files: int
    size: int
    started: str = ""


def runs(place: str) -> list[ListedRun]:
    """Return the runs in a store, the newest first.

    Parameters
    ----------
    place : str
        What the runs had as `results`: an ``s3://`` URL or a folder. Or a run's own folder, which
        is then the first in the list.

    Raises
    ------
    ConfigError
        The URL or a variable of the environment is wrong.
    StoreError
        The store cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> runs(tempfile.mkdtemp())
    []
    """
    opened = RunsPlace(place)
    return call_each(lambda name: _listed(opened, name), opened.names(), workers=8)


def fetch(place: str, run: str | None, to: str | Path) -> Path:
    """Fetch one run into a folder of its own, complete or not at all, and return the folder.

    Parameters
    ----------
    place : str
        The store, or a run's own folder.
    run : str or None
        The run's name or its id, or the unique beginning of one; ``None`` for the run whose own
        folder `place` is.
    to : str or Path
        Where the folder is made; it must not be there yet.

    Raises
    ------
    StoreError
        No such run, more than one, or not finished; a file is missing, or is not what
        ``run.json`` says; the folder is there already or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from flame_flwr.results import Outputs, RunRecord
    >>> from flame_flwr.results.run_files import RunFiles
    >>> place, to = tempfile.mkdtemp(suffix="-ages"), tempfile.mkdtemp()
    >>> outputs = Outputs.declare("str", "mean.txt", False)
    >>> written = RunFiles(Path(place)).write_success(outputs, RunRecord(result=41.5), {})
    >>> [(run.status, run.rounds) for run in runs(place)]
    [('completed', 0)]
    >>> folder = fetch(place, None, to)
    >>> sorted(path.name for path in folder.iterdir())
    ['history.csv', 'mean.txt', 'run.json']
    """
    opened = RunsPlace(place)
    names = opened.names()
    if run is None and names[:1] != [opened.own]:  # a place's own run is listed first
        raise StoreError(f"{opened.place} is no run's own folder: say which run of it")
    name = opened.own if run is None else opened.choose(names, run)
    target = Path(to).expanduser().absolute() / name
    if os.path.lexists(target):
        raise StoreError(f"{target} is there already: remove it, or name another folder")
    record = opened.read(name)
    if record is None:
        raise StoreError(
            f"{name} is not finished: it has no {RECORD}. Ask again later; where its server ended "
            "in the middle, it stays so"
        )
    files = listed_files(record, name)
    try:
        _fetch_files(opened, files, record, target)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{target} could not be written ({error})") from error
    return target


def _fetch_files(place: RunsPlace, files: list[ListedFile], record: bytes, target: Path) -> None:
    """Fetch beside the target, so that the last step is a rename: complete or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".flame-flwr-", dir=target.parent) as temporary:
        folder = Path(temporary, target.name)
        folder.mkdir()
        for file in files:
            _fetch_file(place, target.name, file, folder / file.name)
        (folder / RECORD).write_bytes(record)
        # Once more, as it may have taken long: a rename replaces an empty folder without a word.
        if os.path.lexists(target):
            raise StoreError(f"{target} is there already")
        os.rename(folder, target)


def _about(record: bytes, name: str) -> dict[str, Any]:
    about = json_or_none(record)
    if not isinstance(about, dict):
        raise StoreError(f"{RECORD} of {name} is damaged: it is not what a run writes")
    return about


def listed_files(record: bytes, name: str) -> list[ListedFile]:
    """Return the files that a record lists, each of them checked."""
    about = _about(record, name)
    entries = [about.get("files", []), about.get("other_files", [])]
    if not all(isinstance(entry, list) for entry in entries):
        raise StoreError(f"{RECORD} of {name} is damaged: its files are no list")
    files = [_file(entry, name) for entry in [*entries[0], *entries[1]]]
    # A name that stands twice, or that of the record itself, would be written over unchecked.
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


def _fetch_file(place: RunsPlace, run: str, file: ListedFile, target: Path) -> None:
    """Write one file, and see that it is what the record says."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    try:
        # "x": on a disk that takes A and a for one name, the second file is an error.
        with target.open("xb") as output:
            # With the size as limit a store cannot fill the disk by sending on and on.
            for chunk in place.store.chunks(place.path(run, file.name), file.size):
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


def _listed(place: RunsPlace, name: str) -> ListedRun:
    """Return what a list shows of a run."""
    day, _, clock = name[:16].partition("T") if RUN_NAME.fullmatch(name) else ("", "", "")
    started = f"{day} {clock.replace('-', ':')}".strip()
    # One run that cannot be read hides no other one.
    try:
        record = place.read(name)
        if record is not None:
            about, files = _about(record, name), listed_files(record, name)
    except StoreError:
        sizes = place.sizes(name)
        return ListedRun(name, "unreadable", "", None, len(sizes), sum(sizes.values()), started)
    if record is None:
        sizes = place.sizes(name)
        return ListedRun(name, "unfinished", "", None, len(sizes), sum(sizes.values()), started)
    rounds = about.get("rounds")
    return ListedRun(
        name,
        str(about.get("status", "")),
        str(about.get("app", "")),
        rounds if isinstance(rounds, int) else None,
        len(files) + 1,
        sum(file.size for file in files) + len(record),
        started or str(about.get("started", ""))[:16].replace("T", " "),
    )
