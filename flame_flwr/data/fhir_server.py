"""A FHIR server as a node's data: R4 searches over HTTP, whole, however the server pages.

``next`` links are followed as the server wrote them, and only on its own host.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from flame_flwr.data.fhir_bundles import check_page, merge_pages, next_link
from flame_flwr.data.fhir_http import FhirHttp, same_host
from flame_flwr.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import httpx

__all__ = ["FhirSource"]

MAX_PAGES = 10_000
MAX_MB = 2000.0
ALLOW_HTTP = "set allow-http = true"

_Taken = TypeVar("_Taken")

_MOST_PROBES = 5
# below the base: no `..`, no `//host`, and no fragment, which a server would not see
_QUERY = re.compile(r"(?![^?]*(\.\.|//))([A-Za-z$][A-Za-z0-9$*._/-]*)?(\?[^#\x00-\x1f]*)?")
_TYPE = re.compile(r"([A-Z][A-Za-z]+)(/[A-Za-z0-9.-]+/[A-Z][A-Za-z]+)?(?=\?|$)")


class FhirSource:
    """The searches of one FHIR server.

    Parameters
    ----------
    url : str
        ``fhir+https://server/base``.
    name : str
        How messages call the source.
    authorization : str
        The header of :func:`~flame_flwr.data.fhir_http.bearer` or ``basic``; empty for none.
    max_pages : int
        Pages of one search; more are an error.
    max_mb : float
        Megabytes of one search.
    ca_file : Path, optional
        The certificates of the CA that is trusted besides the system's.
    allow_http : bool
        Whether the URL may be http:// to another machine.
    http_mend : str
        How to allow it, for the message.

    Raises
    ------
    ConfigError
        The URL cannot be, or the CA's certificates.
    """

    type = "fhir"

    def __init__(
        self,
        url: str,
        name: str,
        authorization: str = "",
        *,
        max_pages: int = MAX_PAGES,
        max_mb: float = MAX_MB,
        ca_file: Path | None = None,
        allow_http: bool = False,
        http_mend: str = ALLOW_HTTP,
    ) -> None:
        self.name = name
        self._http = FhirHttp(url, name, authorization, max_mb, ca_file)
        self._max_pages = max_pages
        if not allow_http:
            self._http.check_encrypted(http_mend)

    def check(self, kind: str = "fhir", keys: Sequence[str] = ()) -> None:
        """Raise :class:`DataError` unless a FHIR server is there and this node may search it.

        Parameters
        ----------
        kind : str
            ``'fhir'``.
        keys : sequence of str
            The searches that will be asked, where they are known.
        """
        self._check_kind(kind)
        for number, query in enumerate(keys, start=1):
            self._address(query, f"search {number}")
        with self._http.client() as client:
            address = self._http.base.join("metadata")
            statement, _ = self._http.get(client, address, "its metadata", tries=2)
            if statement.get("resourceType") != "CapabilityStatement":
                raise self._http.error("what is there is not a FHIR server: check the URL's path")
            searches = [query for query in keys if _TYPE.match(query)]
            for each in list(dict.fromkeys(searches or ["Patient"]))[:_MOST_PROBES]:
                self._probe(client, each)

    def read(self, kind: str, keys: list[str]) -> dict[str, Mapping[str, Any]]:
        """Run searches.

        Parameters
        ----------
        kind : str
            ``'fhir'``.
        keys : list of str
            Searches relative to the server's base, such as ``Patient?gender=female``.

        Returns
        -------
        dict
            One bundle by search: the first page's, with the entries of all pages.

        Raises
        ------
        DataError
            Files are asked for; the server refuses, does not answer, or pages without end.
        """
        found = self._read_each(kind, keys, lambda page, body: page)
        return {query: merge_pages(pages) for query, pages in found.items()}

    def fetch(
        self, kind: str, keys: list[str], write: Callable[[bytes], _Taken]
    ) -> dict[str, list[_Taken]]:
        """Run searches as :meth:`read` does, and write down their pages as they came.

        See :class:`~flame_flwr.data.source.RemoteSource`.
        """
        return self._read_each(kind, keys, lambda page, body: write(body))

    @property
    def where(self) -> str:
        """The server's base."""
        return str(self._http.base)

    def client(self) -> httpx.AsyncClient:
        """Return a client for other requests to this server; it too sends credentials nowhere else.

        Its ``base_url`` is the server's base, and it is the caller's to close.
        """
        return self._http.async_client()

    def forward(
        self, url: str, headers: Mapping[str, str], write: Callable[[bytes], object]
    ) -> tuple[int, list[tuple[str, str]]]:
        """Get an address below the server's base, with the node's credentials, for somebody else.

        Parameters, values and errors are those of :func:`flame_flwr.data.fhir_forward.forward`.
        """
        from flame_flwr.data.fhir_forward import forward

        return forward(self._http, url, headers, write)

    def _read_each(
        self, kind: str, keys: list[str], take: Callable[[Mapping[str, Any], bytes], _Taken]
    ) -> dict[str, list[_Taken]]:
        """Return what `take` makes of each page of each search as it arrives."""
        self._check_kind(kind)
        found = {}
        with self._http.client() as client:
            for number, query in enumerate(dict.fromkeys(keys), start=1):
                try:
                    found[query] = self._search(client, query, f"search {number}", take)
                except DataError as error:
                    error.detail = f"{query[:500]}: {error.detail}"
                    raise
        return found

    def _check_kind(self, kind: str) -> None:
        if kind != "fhir":
            raise DataError(f"{self.name} is a FHIR server and has no files")

    def _probe(self, client: httpx.Client, query: str) -> None:
        """Count what a search finds: a server's metadata is often open to all, searches are not.

        Where counting is forbidden, one entry is asked for. A server that does not count, or not
        soon, is left to the search itself.
        """
        more = f"{query}{'&' if '?' in query else '?'}"
        if self._http.probe(client, f"{more}_summary=count") == 403:
            self._http.probe(client, f"{more}_count=1", final=True)

    def _address(self, query: str, what: str) -> httpx.URL:
        """Return where a search is asked: below the server's base."""
        if query and _QUERY.fullmatch(query):
            return self._http.join(self._http.base, query, what)
        raise self._http.error(
            f"{what} must be relative to the server's base, such as 'Patient?_count=100'"
        )

    def _search(
        self,
        client: httpx.Client,
        query: str,
        what: str,
        take: Callable[[Mapping[str, Any], bytes], _Taken],
    ) -> list[_Taken]:
        """Follow a search to its end."""
        url, left = self._address(query, what), self._http.max_bytes
        seen: set[str] = set()
        pages: list[_Taken] = []
        while len(pages) < self._max_pages:
            seen.add(str(url))
            page_of = f"{what}, page {len(pages) + 1}"
            page, body = self._http.get(client, url, page_of, limit=left, paging=bool(pages))
            left -= len(body)  # the limit is for all pages of a search together
            # a page whose next link cannot be read must not pass for the last one
            try:
                check_page(page)
                link = next_link(page)
            except DataError as error:
                raise self._http.error(f"{page_of}: what came is {error.message}") from None
            pages.append(take(page, body))
            if link is None:
                return pages
            url = self._http.join(url, link, f"{page_of}: its next link")
            self._check_next(url, seen, page_of)
        raise self._http.error(
            f"{what} has more than {self._max_pages} pages: ask for less, ask for larger pages "
            "with _count, or raise `max-pages`"
        )

    def _check_next(self, url: httpx.URL, seen: set[str], what: str) -> None:
        if not same_host(url, self._http.base):
            raise self._http.error(
                f"{what}: its next link leads to another host, which is not followed: use the "
                "server's own name for itself in the URL, or mend the server's base URL",
                f"next: {url}",
            )
        if str(url) in seen:
            raise self._http.error(
                f"{what}: its next link leads back: the server pages in a circle"
            )
