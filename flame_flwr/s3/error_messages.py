"""The words for an error of an S3-compatible store: what one can do about it.

There is one text for each thing that can be mended. What it names differs between the two who read
it: the analyst whose results go to a store, and the hospital whose node reads from one. The
library's own text may hold keys and addresses, so none of it is repeated but the status and the
code that the store gave.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from flame_flwr.s3.access import NOWHERE

__all__ = ["NODE_DATA", "Named", "Problem", "is_store_error", "problem_of", "results_at"]

Kind = Literal[
    "denied",
    "clock",
    "missing",
    "address",
    "certificate",
    "unreachable",
    "slow",
    "key",
    "store",
]
"""What is to be mended."""


@dataclass(frozen=True, slots=True)
class Named:
    """What messages call things, for one of their readers.

    Parameters
    ----------
    store : str
        The store.
    key : str
        What of the key may be wrong.
    rights : str
        What the key must allow.
    machine : str
        Where the clock is.
    url : str
        Where the bucket is named.
    address : str
        Where the store's address and region are named.
    ca : str
        What names the CA's certificate.
    """

    store: str
    key: str
    rights: str
    machine: str
    url: str
    address: str
    ca: str


NODE_DATA = Named(
    store="the store",
    key="the key id or the secret that this node was given",
    rights="list and read",
    machine="this node's machine",
    url="the URL in this node's config",
    address="the endpoint and the region in this node's config",
    ca="this node's config",
)
"""For a hospital: without the store's address, as messages may leave the node."""


def results_at(endpoint: str) -> Named:
    """Return what messages name for an analyst, and for who runs the SuperLink.

    Examples
    --------
    >>> Problem("missing", "404 NoSuchBucket").message(results_at("store:9000"), seconds=1)
    'store:9000 has no such bucket (404 NoSuchBucket): have it made, or mend the URL'
    """
    return Named(
        store=endpoint,
        key="AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY in the environment",
        rights="list, read and write",
        machine="this machine",
        url="the URL",
        address="AWS_ENDPOINT_URL and AWS_REGION",
        ca="AWS_CA_BUNDLE",
    )


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a store, or with what was asked of it.

    Parameters
    ----------
    kind : str
        What is to be mended.
    reason : str
        Why, in the system's own words: the store's status and code, such as
        ``403 AccessDenied``, or what the library found.

    Examples
    --------
    >>> Problem("clock", "403 RequestTimeTooSkewed").message(NODE_DATA, seconds=2)
    "access denied (403 RequestTimeTooSkewed): set the clock of this node's machine"
    """

    kind: Kind
    reason: str = ""

    def message(self, named: Named, *, seconds: float) -> str:
        """Return what to tell the reader.

        Parameters
        ----------
        named : Named
            :data:`NODE_DATA`, or of :func:`results_at`.
        seconds : float
            How long the store was waited for.
        """
        reason = f" ({self.reason})" if self.reason else ""
        return _WORDS[self.kind].format(reason=reason, seconds=seconds, named=named)


_WORDS: dict[Kind, str] = {
    "denied": (
        "access denied{reason}: {named.key} is wrong, or this key may not {named.rights} there"
    ),
    "clock": "access denied{reason}: set the clock of {named.machine}",
    "missing": "{named.store} has no such bucket{reason}: have it made, or mend {named.url}",
    "address": (
        "what answers as {named.store} is not the store of this bucket{reason}: check "
        "{named.address}"
    ),
    "certificate": (
        "no trusted TLS connection to {named.store}{reason}: is its address https://, and does "
        "{named.ca} name the certificate of its CA?"
    ),
    "unreachable": (
        "no answer from {named.store} within {seconds:.0f} s{reason}: is it running, are "
        "{named.address} right, and does the network let {named.machine} through?"
    ),
    "slow": (
        "{named.store} does not come to an end within {seconds:.0f} s{reason}: try again, and look "
        "at the store's log and at the network"
    ),
    "key": (
        "a key that {named.store} lists cannot be read: it has an empty part (`//`), `.` or `..` "
        "as a part, or a control character; rename that object, or put a folder without such keys "
        "into {named.url}"
    ),
    "store": (
        "{named.store} has a trouble of its own{reason}; its log says which (is its disk full or "
        "read-only?)"
    ),
}

_BY_CODE: dict[str, Kind] = {
    "RequestTimeTooSkewed": "clock",
    "NoSuchBucket": "missing",
    "AuthorizationHeaderMalformed": "address",
    "401": "denied",
    "403": "denied",
    "404": "missing",
    "301": "address",
    "307": "address",
}

_NOT_S3 = "no answer of an S3 store"

_BY_TEXT: tuple[tuple[str, Kind, str], ...] = (
    # the first that fits counts: a redirect to nowhere is a refused connection, too
    (rf"\s{re.escape(NOWHERE)},", "address", "a redirect to another host, which is not followed"),
    ("BareRedirect", "address", "the bucket is in another region"),
    (r"InvalidPath \{|Could not parse path", "key", ""),
    (r"InvalidListResponse|source: Header \{|hyper::Error\(\s*Parse", "address", _NOT_S3),
    ("(?i)certificate|UnknownIssuer|InvalidContentType|handshake", "certificate", ""),
    ("kind: Interrupted", "slow", "the connection was cut again and again"),
    ("ConnectionRefused", "unreachable", "connection refused"),
    ("dns error", "unreachable", "its name is not known"),
)
"""What the library's text shows, what it means, and the reason in words."""


def problem_of(error: BaseException) -> Problem:
    """Tell what an error of obstore's means.

    Examples
    --------
    >>> problem_of(TimeoutError()).kind
    'slow'
    """
    text = str(error)
    if _is_panic(error):
        return Problem("store", "the library for object stores failed at what it answered")
    status = re.search(r"status code: (\d{3})", text)
    if status:
        code = re.search(r"<Code>([A-Za-z]{1,60})</Code>", text)
        found = [match[1] for match in (status, code) if match]
        # the code comes first: a 403 may be the clock's
        known = [_BY_CODE[each] for each in reversed(found) if each in _BY_CODE]
        return Problem(known[0] if known else "store", " ".join(found))
    if isinstance(error, TimeoutError):
        return Problem("slow")
    if isinstance(error, OSError):
        return Problem("unreachable")
    # before `inner:` stand addresses and keys, which may hold any of these words
    shown = text.rpartition("inner:")[2]
    for pattern, kind, reason in _BY_TEXT:
        if re.search(pattern, shown):
            return Problem(kind, reason)
    return Problem("unreachable") if "HTTP error" in text else Problem("address", _NOT_S3)


def is_store_error(error: BaseException) -> bool:
    """Tell whether an error is the library's: also a panic of Rust's, which it did not mean."""
    from obstore.exceptions import BaseError

    return isinstance(error, BaseError | OSError) or _is_panic(error)


def _is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException"
