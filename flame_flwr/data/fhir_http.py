"""Asking a FHIR server over HTTP: with limits, tried again while it is busy.

No redirect is followed, and credentials go to the server's own host and nowhere else.
"""

from __future__ import annotations

import ssl
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import httpx

from flame_flwr.data.fhir_errors import no_answer, outcome_of, status_message
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.text.foreign_json import json_or_none
from flame_flwr.text.hosts import is_loopback

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

__all__ = ["HEADERS", "TIMEOUT", "FhirHttp", "basic", "bearer", "same_host"]

HEADERS = {"Accept": "application/fhir+json"}
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_PAGE_SECONDS = 600.0
_TRIES = 4
_RETRIED = {429, 502, 503, 504}
"""What a server, or a proxy before it, says while it is busy or starts (RFC 6585, RFC 9110)."""

_LONGEST_PAUSE = 20.0
_PROBE_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
_PROBE_BYTES = 100_000


def bearer(token: str) -> str:
    """Return the ``Authorization`` header of a token.

    Raises
    ------
    ConfigError
        A header cannot hold it. The token is not repeated.
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


class FhirHttp:
    """Requests to one FHIR server, and the messages for what goes wrong.

    Parameters
    ----------
    url : str
        ``fhir+https://server/base``.
    name : str
        How messages call the source.
    authorization : str
        The header of :func:`bearer` or :func:`basic`; empty for none.
    max_mb : float
        Megabytes of one search.
    ca_file : Path, optional
        The certificates of the CA that is trusted besides the system's.

    Raises
    ------
    ConfigError
        The URL cannot be, or the CA's certificates.
    """

    def __init__(
        self, url: str, name: str, authorization: str, max_mb: float, ca_file: Path | None
    ) -> None:
        self.base = _base(url, name)
        self.max_bytes = max_mb * 1e6
        self._name = name
        self._auth = _OwnHostAuth(self.base, authorization)
        self._verify = _trusted(ca_file, name)

    def check_encrypted(self, mend: str) -> None:
        """Refuse a URL that is http:// to another machine; `mend` says how to allow it."""
        if self.base.scheme == "http" and not is_loopback(self.base.host):
            raise ConfigError(
                f"{self._name}: the FHIR server's URL is http://, so everybody on the way could "
                f"read along: use fhir+https://, or {mend} where the network is trusted"
            )

    def client(self) -> httpx.Client:
        """Return a client for requests one after another; the caller closes it."""
        return httpx.Client(auth=self._auth, headers=HEADERS, timeout=TIMEOUT, verify=self._verify)

    def async_client(self) -> httpx.AsyncClient:
        """Return a client for other requests to this server; the caller closes it."""
        return httpx.AsyncClient(
            auth=self._auth,
            base_url=self.base,
            headers=HEADERS,
            timeout=TIMEOUT,
            verify=self._verify,
        )

    def join(self, url: httpx.URL, link: str, what: str) -> httpx.URL:
        """Return where a link leads; `what` is what the error calls it."""
        try:
            return url.join(link)
        except (httpx.InvalidURL, ValueError):
            text = f"{what}: it makes no URL that can be asked for (too long, or damaged)"
            raise self.error(text, link[:500]) from None

    def get(
        self,
        client: httpx.Client,
        url: httpx.URL,
        what: str,
        *,
        limit: float | None = None,
        paging: bool = False,
        tries: int = _TRIES,
    ) -> tuple[dict[str, Any], bytes]:
        """Return the resource at an address, and its bytes.

        Parameters
        ----------
        client : httpx.Client
            Made by :meth:`client`.
        url : httpx.URL
            Where.
        what : str
            What it is, for messages.
        limit : float, optional
            Bytes that it may have.
        paging : bool
            Whether it is another page than the first.
        tries : int
            How often a busy server is asked.

        Raises
        ------
        DataError
            What comes is not a resource or too large, or the server does not answer.
        """
        started = time.monotonic()
        for number in range(1, tries + 1):
            pause = None
            try:
                status, body, pause = self._ask(client, url, limit)
            except httpx.HTTPError as error:
                if number == tries:
                    raise self._no_answer(error, time.monotonic() - started) from None
            else:
                if status not in _RETRIED or number == tries:
                    return self._resource(status, body, what, paging=paging), body
            # a server says itself how long it wants to be left alone, but not for how many minutes
            time.sleep(min(0.5 * 2**number if pause is None else pause, _LONGEST_PAUSE))
        raise AssertionError("the last try returns or raises")

    def probe(self, client: httpx.Client, query: str, *, final: bool = False) -> int:
        """Return a search's status; 0 where the server takes too long to answer.

        A refusal is read to its reason, within a limit. Nothing else is read.

        Raises
        ------
        DataError
            The server wants other credentials, sends the node elsewhere, or is not there; where
            it is `final`, also where it forbids the search.
        """
        url, body = self.join(self.base, query, "a search"), bytearray()
        started = time.monotonic()
        try:
            with client.stream("GET", url, timeout=_PROBE_TIMEOUT) as response:
                status = response.status_code
                if status != 401 and not (final and status == 403) and not 300 <= status < 400:
                    return status
                # a refusal may say why; the answer to a search is not read, however long it is
                for piece in response.iter_bytes():
                    body += piece
                    late = time.monotonic() - started > _LONGEST_PAUSE
                    if late or len(body) > _PROBE_BYTES:
                        break
        except httpx.TimeoutException:
            return 0
        except httpx.HTTPError as error:
            raise self._no_answer(error, time.monotonic() - started) from None
        what = f"a search for {query.partition('?')[0]}"
        self._resource(status, bytes(body), what, paging=False)
        return status

    def pieces(self, response: httpx.Response, limit: float, what: str) -> Iterator[bytes]:
        """Give an answer's body as it comes, within limits of size and time.

        Raises
        ------
        DataError
            It has more than `limit` bytes; `what` names it.
        httpx.ReadTimeout
            It does not come to an end.
        """
        deadline, size = time.monotonic() + _PAGE_SECONDS, 0
        for piece in response.iter_bytes():
            size += len(piece)
            if size > limit:
                raise self.error(
                    f"{what} is larger than {self.max_bytes / 1e6:g} MB: ask for less "
                    "(_elements leaves parts out), or raise `max-mb`"
                )
            # httpx limits the time between two pieces, and a server may drip for ever
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout(f"no whole page within {_PAGE_SECONDS:.0f} s")
            yield piece

    def error(self, text: str, detail: str = "") -> DataError:
        """Return an error; the server's address stays in the detail."""
        where = f"{self.base}; {detail}" if detail else str(self.base)
        return DataError(f"{self._name}: {text}", detail=where)

    def _ask(
        self, client: httpx.Client, url: httpx.URL, limit: float | None
    ) -> tuple[int, bytes, float | None]:
        """Return status, body, and the seconds that the server wants to be left alone."""
        limit = self.max_bytes if limit is None else limit
        with client.stream("GET", url) as response:
            body = b"".join(self.pieces(response, limit, "a search"))
            # in seconds; the header's other form is a date, and clocks differ (RFC 9110, 10.2.3)
            after = response.headers.get("retry-after", "")
            return response.status_code, body, float(after) if after.isdecimal() else None

    def _resource(self, status: int, body: bytes, what: str, *, paging: bool) -> dict[str, Any]:
        """Return the resource in an answer, unless it is an OperationOutcome or none."""
        content = json_or_none(body)
        outcome = outcome_of(content)
        if status == 200 and isinstance(content, dict) and outcome is None:
            return content
        codes, texts = outcome or ("", "")
        has_credentials = bool(self._auth.header)
        why = status_message(status, paging=paging, has_credentials=has_credentials)
        said = f" (OperationOutcome: {codes})" if codes else ""
        raise self.error(f"{what}: {why}{said}", texts)

    def _no_answer(self, error: httpx.HTTPError, seconds: float) -> DataError:
        return self.error(no_answer(error, seconds), type(error).__name__)


def same_host(url: httpx.URL, other: httpx.URL) -> bool:
    """Tell whether two addresses are of one server."""
    return _origin(url) == _origin(other)


class _OwnHostAuth(httpx.Auth):
    """Sends credentials to one host and to no other."""

    def __init__(self, base: httpx.URL, header: str) -> None:
        self.header = header
        self._origin = _origin(base)

    # httpx drops a header on a redirect to another host, but a `next` link is a request of ours
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self.header and _origin(request.url) == self._origin:
            request.headers["Authorization"] = self.header
        yield request


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


def _base(url: str, name: str) -> httpx.URL:
    try:
        # without the slash a search would take the place of the path's last part (RFC 3986, 5.2)
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
