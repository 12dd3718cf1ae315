"""FHIR search results as they come: one bundle, pages of one search, bundles within bundles.

It reads and joins bundles that are there already; it fetches nothing. What it knows of them is
FHIR's ``Bundle`` (https://hl7.org/fhir/bundle.html): ``entry`` holds the resources, ``total``
counts the matches of all pages, and a ``link`` with relation ``next`` says that there are more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flame_flwr.errors import DataError

__all__ = ["Entries", "check_page", "is_bundle", "merge_pages", "next_link", "read_entries"]

_PAGING = {"next", "previous", "prev", "last"}
_ODD_ENTRY = "a Bundle with an entry that is not an object"
_INDEPENDENT = {"batch-response", "transaction-response"}


class Entries(NamedTuple):
    """The entries of all pages in order, and whether pages are missing behind them."""

    entries: list[Mapping[str, Any]]
    incomplete: bool


def read_entries(pages: Sequence[Any]) -> Entries:
    """Collect the entries of the pages of one search.

    A bundle in place of an entry, or as an entry's resource, is read where it stands, as a page;
    those in a response to a batch are searches of their own.

    Parameters
    ----------
    pages : sequence of dict
        Bundles, in the order of the pages.

    Returns
    -------
    Entries
        ``incomplete`` where the last page still links to a next one, unless the first page's
        ``total`` says that everything is there: a merged bundle may have kept a stale link, and
        some servers link to an empty last page.

    Raises
    ------
    DataError
        Something that is not a bundle, or bundles that are too deep in each other.
    """
    entries: list[Mapping[str, Any]] = []
    more = False
    try:
        for page in pages:
            more = _read(page, entries)
    except RecursionError:  # Python 3.13 reads JSON that is deeper than its own calls may be
        raise DataError("Bundles that are too deep in each other") from None
    return Entries(entries, more and not _all_there(pages[0], entries))


def merge_pages(pages: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Make one bundle of the pages of a search; a single page stays as it is.

    Parameters
    ----------
    pages : sequence of dict
        At least one.

    Returns
    -------
    dict
        What the first page says (its ``total`` too) with the entries of all of them, and without
        links to other pages. What a search includes besides its matches is there once, as in an
        answer of one page: servers repeat it on every page that refers to it.

    Raises
    ------
    DataError
        A page is no bundle.
    """
    for page in pages:
        check_page(page)
    if len(pages) == 1:
        return pages[0]
    merged = dict(pages[0])
    merged["entry"] = _once([entry for page in pages for entry in _listed(page)])
    if "link" in merged:
        merged["link"] = [link for link in _links(pages[0]) if link.get("relation") not in _PAGING]
    return merged


def check_page(page: Any) -> None:
    """Refuse anything but a bundle whose entries are objects.

    Raises
    ------
    DataError
        It is something else. What it is may be a patient's, and is not said.
    """
    for entry in _listed(page):
        if not isinstance(entry, Mapping):
            raise DataError(_ODD_ENTRY)


def next_link(page: Mapping[str, Any]) -> str | None:
    """Return where the next page is, as the server wrote it; ``None`` on the last page.

    Raises
    ------
    DataError
        There is a next page, or links, that cannot be read: the search would be cut short.
    """
    links = page.get("link")
    if links is not None and not isinstance(links, list):
        raise DataError("a Bundle whose `link` is not a list, so its next page is not known")
    for link in _links(page):
        if link.get("relation") == "next":
            url = link.get("url")
            if not isinstance(url, str) or not url.strip():
                raise DataError("a Bundle that has a next page and does not say where")
            return url
    return None


def is_bundle(value: Any) -> bool:
    """Tell whether a value is a bundle; one without ``resourceType`` is known by its entries."""
    if not isinstance(value, Mapping):
        return False
    if "resourceType" in value:
        return bool(value["resourceType"] == "Bundle")
    return isinstance(value.get("entry"), list)


def _read(bundle: Any, entries: list[Mapping[str, Any]]) -> bool:
    """Add a bundle's entries; return whether pages are missing behind it."""
    found = _listed(bundle)
    independent = bundle.get("type") in _INDEPENDENT
    missing = more = False
    for entry in found:
        inner = _inner(entry)
        if inner is None:
            entries.append(entry)
        else:
            more = _read(inner, entries)
            # of pages, only the last says whether there are more; searches of a batch each do
            missing = missing or (independent and more)
    return missing or more or any(link.get("relation") == "next" for link in _links(bundle))


def _listed(bundle: Any) -> list[Any]:
    """Return a bundle's entries as they are; a bundle without any may leave them out."""
    found = bundle.get("entry") if is_bundle(bundle) else False
    if found is None:
        return []
    if not isinstance(found, list):
        raise DataError("not a Bundle: an object with a list of entries is expected")
    return found


def _inner(entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        raise DataError(_ODD_ENTRY)
    if is_bundle(entry):
        return entry
    resource = entry.get("resource")
    return resource if is_bundle(resource) else None


def _links(bundle: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    links = bundle.get("link")
    return [link for link in links if isinstance(link, Mapping)] if isinstance(links, list) else []


def _once(entries: list[Any]) -> list[Any]:
    """Leave out the includes that are there already, as a match or as an include."""
    included = [isinstance(entry, Mapping) and _mode(entry) == "include" for entry in entries]
    there = {
        identity
        for entry, include in zip(entries, included, strict=True)
        if not include and (identity := _identity(entry))
    }
    kept = []
    for entry, include in zip(entries, included, strict=True):
        # matches stay whatever they are: the same resource may match twice on purpose
        identity = _identity(entry) if include else None
        if identity is None or identity not in there:
            kept.append(entry)
        if identity is not None:
            there.add(identity)
    return kept


def _identity(entry: Any) -> tuple[str, str] | None:
    """Return type and id of an entry's resource, or ``None``."""
    resource = entry.get("resource") if isinstance(entry, Mapping) else None
    if not isinstance(resource, Mapping):
        return None
    kind, number = resource.get("resourceType"), resource.get("id")
    return (kind, number) if isinstance(kind, str) and isinstance(number, str) else None


def _all_there(first: Mapping[str, Any], entries: list[Mapping[str, Any]]) -> bool:
    """Compare ``total``, which counts matches, with the entries that are matches."""
    total = first.get("total")
    return isinstance(total, int) and sum(map(_is_match, entries)) >= total


def _is_match(entry: Mapping[str, Any]) -> bool:
    return _mode(entry) not in ("include", "outcome")


def _mode(entry: Mapping[str, Any]) -> Any:
    search = entry.get("search")
    return search.get("mode") if isinstance(search, Mapping) else None
