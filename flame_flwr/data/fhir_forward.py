"""One request to a FHIR server, made for a process that has neither network nor credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flame_flwr.data.fhir_http import FhirHttp, same_host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

__all__ = ["forward"]

_PASSED_ON = {"accept", "accept-language", "if-modified-since", "if-none-match", "prefer"}
"""Headers that others may set; with some of the rest, a server takes a GET for another method."""

_OF_THE_CONNECTION = {
    *("connection", "content-encoding", "content-length", "keep-alive", "set-cookie"),
    *("proxy-authenticate", "transfer-encoding", "upgrade"),
}


def forward(
    http: FhirHttp, url: str, headers: Mapping[str, str], write: Callable[[bytes], object]
) -> tuple[int, list[tuple[str, str]]]:
    """Get an address below a server's base, with the node's credentials.

    Parameters
    ----------
    http : FhirHttp
        The server.
    url : str
        The whole address.
    headers : dict
        Of which those are passed on that ask for a form or a version.
    write : callable
        Called with each piece of the answer's body.

    Returns
    -------
    status : int
        Of HTTP.
    headers : list of (str, str)
        Those of the answer, but for cookies and what is about the connection.

    Raises
    ------
    DataError
        The address is not below the base, or the answer is larger than the server's `max-mb`.
    httpx.HTTPError
        There is no answer.
    """
    asked = http.join(http.base, url, "a request")
    if not _is_below(asked, http.base):
        raise http.error("a request may go below this server's base only", url[:500])
    chosen = {name: text for name, text in headers.items() if name.lower() in _PASSED_ON}
    with http.client() as client, client.stream("GET", asked, headers=chosen) as response:
        for piece in http.pieces(response, http.max_bytes, "an answer"):
            write(piece)
        # without `content-encoding` and `content-length`, as httpx has decoded the pieces
        told = response.headers.multi_items()
        kept = [(name, text) for name, text in told if name.lower() not in _OF_THE_CONNECTION]
        return response.status_code, kept


def _is_below(url: httpx.URL, base: httpx.URL) -> bool:
    """Tell whether an address is one of this server, and not of its neighbours on the host."""
    # the path is decoded here: as %2e%2e it would lead out of the base at the server
    odd = url.userinfo or "\\" in url.path or {".", ".."} & set(url.path.split("/"))
    below = url.path.startswith(base.path) or url.path == base.path.rstrip("/")
    return same_host(url, base) and below and not odd
