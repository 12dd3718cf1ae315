"""A folder's answer to a FHIR search: which files it is in, and the bundle they make.

The rule, for the query ``Observation?code=4548-4``; the first that is there is taken:

1. ``Observation%3Fcode%3D4548-4.json``: the query percent-encoded, as by
   ``urllib.parse.quote(query, safe="")``;
2. ``Observation%3Fcode%3D4548-4,1.json``, ``...,2.json``: pages of it (a comma, because a query may
   end in a hyphen and a number itself);
3. ``Observation.json``: the resource type, for whatever else is asked of it;
4. ``Observation-1.json``, ``Observation-2.json``: pages of it.

Files are looked for in the folder itself, not below it. They are not filtered: the file *is* the
answer. Pages are numbered from 0 or 1 without gaps and become one bundle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flame_flwr.data.fhir_bundles import is_bundle, merge_pages, read_entries
from flame_flwr.errors import DataError
from flame_flwr.files import os_errors_as
from flame_flwr.log import logger
from flame_flwr.text.suggestions import what_there_is

__all__ = ["check_queries", "read_queries"]

_TYPE = re.compile(r"([A-Z][A-Za-z]+)(\?.*)?", re.DOTALL)


def read_queries(folder: Path, queries: list[str], name: str) -> dict[str, Mapping[str, Any]]:
    """Read the bundle that answers each query.

    Parameters
    ----------
    folder : Path
        Where the files are.
    queries : list of str
        FHIR searches such as ``Patient?_count=100``.
    name : str
        How messages call the source.

    Returns
    -------
    dict
        The whole search result by query: pages are merged.

    Raises
    ------
    DataError
        No file for a query, one file for two queries, a page that is missing, or content that is
        no bundle.
    """
    chosen = _chosen(folder, queries, name)
    return {
        query: _whole([_read(folder / file, query, name) for file in files], query, name, files)
        for query, files in chosen.items()
    }


def check_queries(folder: Path, queries: list[str], name: str) -> None:
    """Refuse a folder without files for the queries, or without any bundle if none is named.

    Parameters
    ----------
    folder, queries, name
        As for :func:`read_queries`.

    Raises
    ------
    DataError
        There are none, or they may not be read.
    """
    if queries:
        for query, files in _chosen(folder, queries, name).items():
            for file in files:
                with _reading(query, name):
                    (folder / file).open("rb").close()
        return
    for file in sorted(file for file in _file_names(folder, name) if file.endswith(".json")):
        try:
            _read(folder / file, file, name)
        except DataError:
            continue
        return
    raise DataError(
        f"{name}: no file of the data folder itself is a FHIR Bundle: save searches there, such as "
        "Patient.json"
    )


def _file_names(folder: Path, name: str) -> set[str]:
    with os_errors_as(DataError, f"{name}: the data folder cannot be read"):
        return {path.name for path in folder.iterdir() if path.is_file()}


def _chosen(folder: Path, queries: list[str], name: str) -> dict[str, list[str]]:
    there = _file_names(folder, name)
    chosen = {query: _files_for(query, there, name) for query in dict.fromkeys(queries)}
    _refuse_shared(chosen, name)
    return chosen


def _files_for(query: str, there: set[str], name: str) -> list[str]:
    """Return the names of the files that answer a query, in the order of the pages."""
    by_type = _TYPE.fullmatch(query)
    # of a query that is a type alone, rules 1 and 3 mean the same file
    stems = [] if by_type and not by_type[2] else [(quote(query, safe=""), ",")]
    if by_type:
        stems.append((by_type[1], "-"))
    looked_for: list[str] = []
    for stem, mark in stems:
        pages = _pages(stem + mark, there)
        if f"{stem}.json" in there:
            if pages:  # which of the two is the newer search, no name says
                raise DataError(
                    f"{name}: for the query {query!r} there is a whole file and there are pages: "
                    "remove one or the other",
                    detail=", ".join([f"{stem}.json", *pages.values()]),
                )
            files = [f"{stem}.json"]
        else:
            files = _in_order(pages, query, name)
        if files:
            if mark == "-" and stem != query:
                logger.info("%s: %r is answered by the files of %s as they are", name, query, stem)
            return files
        looked_for += [f"{stem}.json", f"{stem}{mark}1.json"]
    raise DataError(
        f"{name} has no file for the query {query!r}. Looked for, first match wins: "
        f"{', '.join(looked_for)}",
        detail=what_there_is(looked_for[:1], sorted(there)),
    )


def _pages(start: str, there: set[str]) -> dict[tuple[int, str], str]:
    """Return the files that are a page, by number; ``-1`` and ``-01`` are the same number."""
    page = re.compile(re.escape(start) + r"([0-9]{1,9})\.json")
    found = [(match, file) for file in there if (match := page.fullmatch(file))]
    return dict(sorted(((int(match[1]), match[1]), file) for match, file in found))


def _in_order(pages: dict[tuple[int, str], str], query: str, name: str) -> list[str]:
    numbers = [number for number, _ in pages]
    if numbers and numbers != list(range(min(numbers[0], 1), min(numbers[0], 1) + len(numbers))):
        raise DataError(
            f"{name}: the pages for the query {query!r} are not numbered from 0 or 1 without gaps "
            f"and repetitions: {', '.join(map(str, numbers))}",
            detail=", ".join(pages.values()),
        )
    return list(pages.values())


def _refuse_shared(chosen: dict[str, list[str]], name: str) -> None:
    """Refuse one file as the answer to two queries: the analysis would count it twice."""
    owners: dict[str, str] = {}
    for query, files in chosen.items():
        # by the first: two queries have the same files, or none in common
        other = owners.setdefault(files[0], query)
        if other != query:
            names = [f"{quote(each, safe='')}.json" for each in (other, query)]
            raise DataError(
                f"{name}: the queries {other!r} and {query!r} would be answered by the same file. "
                f"Name a file after each: {', '.join(names)}"
            )


def _read(path: Path, query: str, name: str) -> Mapping[str, Any]:
    with _reading(query, name):
        content = path.read_bytes()
    try:
        bundle = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{name}: a file for the query {query!r} is not valid JSON",
            detail=f"{path.name}: {error}",
        ) from error
    if not (is_bundle(bundle) and bundle.get("resourceType") == "Bundle"):
        raise DataError(
            f"{name}: a file for the query {query!r} is not a FHIR Bundle: "
            'an object with "resourceType": "Bundle" is expected',
            detail=path.name,
        )
    return dict(bundle)


def _reading(query: str, name: str) -> AbstractContextManager[None]:
    return os_errors_as(DataError, f"{name}: a file for the query {query!r} cannot be read")


def _whole(
    pages: list[Mapping[str, Any]], query: str, name: str, files: list[str]
) -> Mapping[str, Any]:
    try:
        incomplete = read_entries(pages).incomplete
    except DataError as error:
        raise DataError(
            f"{name}: a file for the query {query!r} is not what it must be: {error.message}",
            detail=", ".join(files),
        ) from error
    if incomplete:
        raise DataError(
            f"{name}: the last page for the query {query!r} links to a next one that is not there. "
            "Save all pages, numbered; or delete the link if these entries are all that is meant",
            detail=files[-1],
        )
    return merge_pages(pages)
