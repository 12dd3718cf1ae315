"""A FHIR server as a node's data: R4 searches over HTTP, whole, however the server pages.

``next`` links are followed as the server wrote them, and only on its own host: credentials go
nowhere else. An error's message holds the status and the codes of an OperationOutcome, which are
a closed list; its texts may name patients and stay on the node, in the detail.
"""

from __future__ import annotations

import json
import re
import ssl
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import httpx

from flame_flwr.data.bundles import check_page, merge_pages, next_link
from flame_flwr.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

__all__ = ["FhirSource", "basic", "bearer"]

MAX_PAGES = 10_000
MAX_MB = 2000.0
ALLOW_HTTP = "set allow-http = true"

_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_PAGE_SECONDS = 600.0
_TRIES = 4
_RETRIED = {429, 502, 503, 504}
_LONGEST_PAUSE = 20.0
_PROBE_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
_PROBE_BYTES = 100_000
_MOST_PROBES = 5
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_QUERY = re.compile(r"(?![^?]*(\.\.|//))([A-Za-z$][A-Za-z0-9$*._/-]*)?(\?[^#\x00-\x1f]*)?")
_TYPE = re.compile(r"([A-Z][A-Za-z]+)(/[A-Za-z0-9.-]+/[A-Z][A-Za-z]+)?(?=\?|$)")
_HEADERS = {"Accept": "application/fhir+json"}

_SEVERITIES = {"fatal", "error", "warning", "information", "success"}
_CODES = frozenset(
    {
        *("invalid", "structure", "required", "value", "invariant", "security", "login"),
        *("unknown", "expired", "forbidden", "suppressed", "processing", "not-supported"),
        *("duplicate", "multiple-matches", "not-found", "deleted", "too-long", "code-invalid"),
        *("extension", "too-costly", "business-rule", "conflict", "transient", "lock-error"),
        *("no-store", "exception", "timeout", "incomplete", "throttled", "informational"),
    }
)
"""FHIR's issue types (https://hl7.org/fhir/R4/valueset-issue-type.html)."""


def bearer(token: str) -> str:
    """Return the ``Authorization`` header of a token.

    Raises
    ------
    ConfigError
        It is nothing that a header can hold. The token is not repeated.
    """
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            "a FHIR server's token is one word of plain letters, digits and signs, and what was "
            "found is none: look for spaces, line ends and quotes where it is kept"
        )
    return f"Bearer {token}"


def basic(user: str, password: str) -> str:
    """Return the ``Authorization`` header of a user and a password."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


class FhirSource:
    """The searches of one FHIR server.

    Parameters
    ----------
    url : str
        ``fhir+https://server/base``.
    name : str
        How messages call the source.
    authorization : str
        The header of :func:`bearer` or :func:`basic`; empty for none.
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
        self._base = _base(url, name)
        if self._base.scheme == "http" and self._base.host not in _LOOPBACK and not allow_http:
            raise ConfigError(
                f"{name}: the FHIR server's URL is http://, so everybody on the way could read "
                f"along: use fhir+https://, or {http_mend} where the network is trusted"
            )
        self._auth = _OwnHostAuth(self._base, authorization)
        self._max_pages = max_pages
        self._max_mb = max_mb
        self._verify = _trusted(ca_file, name)

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
        with self._client() as client:
            address = self._base.join("metadata")
            statement, _ = self._get(client, address, "its metadata", tries=2)
            if statement.get("resourceType") != "CapabilityStatement":
                raise self._error("what is there is no FHIR server: check the URL's path")
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
        self._check_kind(kind)
        found = {}
        with self._client() as client:
            for number, query in enumerate(dict.fromkeys(keys), start=1):
                try:
                    found[query] = self._search(client, query, f"search {number}")
                except DataError as error:
                    error.detail = f"{query[:500]}: {error.detail}"
                    raise
        return found

    def client(self) -> httpx.AsyncClient:
        """Return a client for other requests to this server; it too sends credentials nowhere else.

        Its ``base_url`` is the server's base, and it is the caller's to close.
        """
        return httpx.AsyncClient(
            auth=self._auth,
            base_url=self._base,
            headers=_HEADERS,
            timeout=_TIMEOUT,
            verify=self._verify,
        )

    def _client(self) -> httpx.Client:
        return httpx.Client(
            auth=self._auth, headers=_HEADERS, timeout=_TIMEOUT, verify=self._verify
        )

    def _check_kind(self, kind: str) -> None:
        if kind != "fhir":
            raise DataError(f"{self.name} is a FHIR server and has no files")

    def _probe(self, client: httpx.Client, query: str) -> None:
        """Count what a search finds: a server's metadata is often open to all, searches are not.

        Where counting is forbidden, one entry is asked for. A server that does not count, or not
        soon, is left to the search itself.
        """
        more = f"{query}{'&' if '?' in query else '?'}"
        if self._answer(client, f"{more}_summary=count") == 403:
            self._answer(client, f"{more}_count=1", final=True)

    def _answer(self, client: httpx.Client, query: str, *, final: bool = False) -> int:
        """Return a search's status, at most the beginning of its answer being read.

        Raises
        ------
        DataError
            The server wants other credentials, sends the node elsewhere, or is not there; where
            it is `final`, also where it forbids the search.
        """
        url, body = self._joined(self._base, query, "a search"), bytearray()
        started = time.monotonic()
        try:
            with client.stream("GET", url, timeout=_PROBE_TIMEOUT) as response:
                status = response.status_code
                if status != 401 and not (final and status == 403) and not 300 <= status < 400:
                    return status
                for piece in response.iter_bytes():
                    body += piece
                    late = time.monotonic() - started > _LONGEST_PAUSE
                    if late or len(body) > _PROBE_BYTES:
                        break
        except httpx.TimeoutException:
            return 0
        except httpx.HTTPError as error:
            raise self._no_answer(error, time.monotonic() - started) from None
        self._read(status, bytes(body), f"a search for {query.partition('?')[0]}", paging=False)
        return status

    def _address(self, query: str, what: str) -> httpx.URL:
        """Return where a search is asked: below the server's base."""
        if query and _QUERY.fullmatch(query):
            return self._joined(self._base, query, what)
        raise self._error(
            f"{what} must be relative to the server's base, such as 'Patient?_count=100'"
        )

    def _joined(self, url: httpx.URL, link: str, what: str) -> httpx.URL:
        try:
            return url.join(link)
        except (httpx.InvalidURL, ValueError):
            raise self._error(
                f"{what}: it makes no URL that can be asked for (too long, or damaged)", link[:500]
            ) from None

    def _search(self, client: httpx.Client, query: str, what: str) -> Mapping[str, Any]:
        """Follow a search to its end."""
        url, left = self._address(query, what), self._max_mb * 1e6
        seen: set[str] = set()
        pages: list[Mapping[str, Any]] = []
        while len(pages) < self._max_pages:
            seen.add(str(url))
            page_of = f"{what}, page {len(pages) + 1}"
            page, size = self._get(client, url, page_of, limit=left, paging=bool(pages))
            left -= size
            pages.append(page)
            try:
                check_page(page)
                link = next_link(page)
            except DataError as error:
                raise self._error(f"{page_of}: what came is {error.message}") from None
            if link is None:
                return merge_pages(pages)
            url = self._joined(url, link, f"{page_of}: its next link")
            self._check_next(url, seen, page_of)
        raise self._error(
            f"{what} has more than {self._max_pages} pages: ask for less, ask for larger pages "
            "with _count, or raise `max-pages`"
        )

    def _check_next(self, url: httpx.URL, seen: set[str], what: str) -> None:
        if _origin(url) != _origin(self._base):
            raise self._error(
                f"{what}: its next link leads to another host, which is not followed: use the "
                "server's own name for itself in the URL, or mend the server's base URL",
                f"next: {url}",
            )
        if str(url) in seen:
            raise self._error(f"{what}: its next link leads back: the server pages in a circle")

    def _get(
        self,
        client: httpx.Client,
        url: httpx.URL,
        what: str,
        *,
        limit: float | None = None,
        paging: bool = False,
        tries: int = _TRIES,
    ) -> tuple[dict[str, Any], int]:
        """Return the resource at an address, and its bytes."""
        started, left = time.monotonic(), tries
        while True:
            left -= 1
            try:
                status, body, pause = self._ask(client, url, limit)
            except httpx.HTTPError as error:
                if not left:
                    raise self._no_answer(error, time.monotonic() - started) from None
                pause = None
            else:
                if status not in _RETRIED or not left:
                    return self._read(status, body, what, paging=paging), len(body)
            longer = 0.5 * 2 ** (tries - left)
            time.sleep(min(longer if pause is None else pause, _LONGEST_PAUSE))

    def _ask(
        self, client: httpx.Client, url: httpx.URL, limit: float | None
    ) -> tuple[int, bytes, float | None]:
        """Return status, body, and the seconds that the server wants to be left alone."""
        limit = self._max_mb * 1e6 if limit is None else limit
        deadline, body = time.monotonic() + _PAGE_SECONDS, bytearray()
        with client.stream("GET", url) as response:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > limit:
                    raise self._error(
                        f"a search is larger than {self._max_mb:g} MB: ask for less (_elements "
                        "leaves parts out), or raise `max-mb`"
                    )
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"no whole page within {_PAGE_SECONDS:.0f} s")
            after = response.headers.get("retry-after", "")
            return response.status_code, bytes(body), float(after) if after.isdecimal() else None

    def _read(self, status: int, body: bytes, what: str, *, paging: bool) -> dict[str, Any]:
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            content = None
        outcome = isinstance(content, dict) and content.get("resourceType") == "OperationOutcome"
        if status == 200 and isinstance(content, dict) and not outcome:
            return content
        codes, texts = _outcome(content) if outcome else ("", "")
        why = self._why(status, paging=paging)
        said = f" (OperationOutcome: {codes})" if codes else ""
        raise self._error(f"{what}: {why}{said}", texts)

    def _why(self, status: int, *, paging: bool) -> str:
        if status == 401 and not self._auth.header:
            return "the server wants credentials (401), and this node has none for it"
        if status == 410 or (status == 404 and paging):
            return (
                f"the server has forgotten this search meanwhile ({status}): ask for larger pages "
                "with _count, or have the server keep searches for longer"
            )
        if 300 <= status < 400:
            return f"the server sends elsewhere ({status}), which is not followed: mend the URL"
        return {
            200: "what came is no FHIR resource",
            400: "the server does not take this search (400)",
            401: "the server refuses this node's credentials (401): are they right and current?",
            403: "this node's credentials may not search there (403)",
            404: "the server has nothing there (404): check the URL's path, or the resource type",
        }.get(status, f"the server has a trouble of its own ({status}); its log says which")

    def _no_answer(self, error: httpx.HTTPError, seconds: float) -> DataError:
        causes, cause = [], error.__cause__ or error.__context__
        while cause is not None:
            causes.append(cause)
            cause = cause.__cause__ or cause.__context__
        if any(isinstance(each, ssl.SSLError) for each in causes):
            return self._error(
                "no trusted TLS connection to the FHIR server: check its URL, and `ca-file` where "
                "its certificate is of the hospital's own CA"
            )
        return self._error(
            f"no answer from the FHIR server within {seconds:.0f} s: is it running, is its URL "
            "right, and does the network let this node through?",
            type(error).__name__,
        )

    def _error(self, text: str, detail: str = "") -> DataError:
        where = f"{self._base}; {detail}" if detail else str(self._base)
        return DataError(f"{self.name}: {text}", detail=where)


class _OwnHostAuth(httpx.Auth):
    """Sends credentials to one host and to no other."""

    def __init__(self, base: httpx.URL, header: str) -> None:
        self.header = header
        self._origin = _origin(base)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self.header and _origin(request.url) == self._origin:
            request.headers["Authorization"] = self.header
        yield request


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


def _base(url: str, name: str) -> httpx.URL:
    try:
        base = httpx.URL(url.removeprefix("fhir+").rstrip("/") + "/")
    except httpx.InvalidURL:
        base = httpx.URL("")
    odd = base.userinfo or base.query or base.fragment
    if odd or not base.host or base.scheme not in ("http", "https"):
        raise ConfigError(
            f"{name}: a FHIR server's URL must be like fhir+https://fhir.example.org/fhir, without "
            "user, password and query"
        )
    return base


def _trusted(ca_file: Path | None, name: str) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    context = httpx.create_ssl_context()
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:  # an ssl.SSLError is one too
        raise ConfigError(
            f"{name}: `ca-file` names no file with certificates ({type(error).__name__})",
            detail=str(ca_file),
        ) from None
    return context


def _outcome(content: Mapping[str, Any]) -> tuple[str, str]:
    """Return an OperationOutcome's codes, which may travel, and its texts, which may not."""
    codes, texts = [], []
    issues = content.get("issue")
    for issue in issues if isinstance(issues, list) else []:
        if not isinstance(issue, dict):
            continue
        severity, code = issue.get("severity"), issue.get("code")
        known = isinstance(severity, str) and isinstance(code, str)
        if known and severity in _SEVERITIES and code in _CODES:
            codes.append(f"{severity} {code}")
        details = issue.get("details")
        text = issue.get("diagnostics") or (isinstance(details, dict) and details.get("text"))
        if text:
            texts.append(str(text)[:500])
    return ", ".join(dict.fromkeys(codes)), "; ".join(texts)
