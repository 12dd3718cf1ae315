"""The words for an error of an S3-compatible store: what one can do about it.

One table for each of the two who read them: the analyst whose results go to a store, and the
hospital whose node reads from one. The library's own text may hold keys and addresses, so none of
it is repeated but the status and the code that the store gave.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from flame_flwr.s3.access import NOWHERE

__all__ = ["NODE_DATA", "RESULTS", "Problem", "is_store_error", "problem_of"]

Kind = Literal[
    "credentials",
    "clock",
    "denied",
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
class Problem:
    """What is wrong with a store, or with what was asked of it.

    Parameters
    ----------
    kind : str
        What is to be mended, a key of :data:`NODE_DATA` and :data:`RESULTS`.
    reason : str
        Why, in the system's own words: the store's status and code, such as
        ``403 AccessDenied``, or what the library found.

    Examples
    --------
    >>> problem = Problem("denied", "403 AccessDenied")
    >>> problem.message(NODE_DATA, seconds=2)
    "the store does not let this node's key list and read there (403 AccessDenied)"
    """

    kind: Kind
    reason: str = ""

    def message(self, words: dict[Kind, str], *, seconds: float, **named: str) -> str:
        """Return what to tell the reader.

        Parameters
        ----------
        words : dict
            :data:`NODE_DATA` or :data:`RESULTS`.
        seconds : float
            How long the store was waited for.
        **named : str
            What the words name: of results, ``endpoint`` and ``bucket``.
        """
        reason = f" ({self.reason})" if self.reason else ""
        return words[self.kind].format(reason=reason, seconds=seconds, **named)


NODE_DATA: dict[Kind, str] = {
    "credentials": (
        "the store refuses this node's key: check the key id and the secret that it was given"
        "{reason}"
    ),
    "clock": "the store refuses this node's clock: set the time of this machine{reason}",
    "denied": "the store does not let this node's key list and read there{reason}",
    "missing": "the store has no such bucket: check the URL in this node's config{reason}",
    "address": (
        "what answers is not the store of this bucket: check the endpoint and the region in this "
        "node's config{reason}"
    ),
    "certificate": (
        "no trusted TLS connection to the store: check its address and the CA's certificate{reason}"
    ),
    "unreachable": (
        "no answer from the store within {seconds:.0f} s: is it running, is its address right, "
        "and does the network let this node through?{reason}"
    ),
    "slow": (
        "the store does not come to an end within {seconds:.0f} s: run it again, and look at the "
        "store's log and at the network{reason}"
    ),
    "key": (
        "a key that the store lists cannot be read: it has an empty part (`//`), `.` or `..` as a "
        "part, or a control character; rename that object, or put a folder without such keys into "
        "the URL in this node's config (its log has the key)"
    ),
    "store": "the store has a trouble of its own; its log says which{reason}",
}
"""For a hospital: without the store's address, as messages may leave the node."""

RESULTS: dict[Kind, str] = {
    "credentials": (
        "access denied{reason}: AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY in the environment is "
        "wrong"
    ),
    "clock": "access denied{reason}: set the time of this machine",
    "denied": (
        "access denied{reason}: this key may not do it, or AWS_ACCESS_KEY_ID or "
        "AWS_SECRET_ACCESS_KEY in the environment is wrong"
    ),
    "missing": (
        "not there{reason}: is there a bucket {bucket} on {endpoint}? Have it made, or mend the URL"
    ),
    "address": (
        "what {endpoint} answered is not of the store of this bucket{reason}: are AWS_ENDPOINT_URL "
        "and AWS_REGION right?"
    ),
    "certificate": (
        "no trusted TLS connection to {endpoint}{reason}: is it https://, and does AWS_CA_BUNDLE "
        "name the certificate of its CA?"
    ),
    "unreachable": (
        "no answer from {endpoint} within {seconds:.0f} s{reason}: is it running, and is "
        "AWS_ENDPOINT_URL right?"
    ),
    "slow": (
        "{endpoint} does not come to an end within {seconds:.0f} s{reason}: try again, and look at "
        "the store's log and at the network"
    ),
    "key": (
        "a key there has an empty part (`//`), `.` or `..` as a part, or a control character: "
        "rename that object"
    ),
    "store": (
        "the store answered with a trouble of its own{reason}; its log says why (is its disk full "
        "or read-only?)"
    ),
}
"""For an analyst, and for who runs the SuperLink."""

_BY_CODE: dict[str, Kind] = {
    "SignatureDoesNotMatch": "credentials",
    "InvalidAccessKeyId": "credentials",
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
