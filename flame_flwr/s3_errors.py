"""What an error of an S3-compatible store means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flame_flwr.s3_access import NOWHERE

if TYPE_CHECKING:
    pass

__all__ = ["Answer", "classify", "is_panic"]

Cause = Literal[
    "name",
    "secret",
    "key",
    "clock",
    "denied",
    "bucket",
    "missing",
    "region",
    "elsewhere",
    "answer",
    "changed",
    "odd",
    "garbled",
    "broken",
    "cut",
    "endless",
    "tls",
    "silent",
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store's error means.

    Parameters
    ----------
    cause : str
        ``name``: it cannot be an object's; ``secret``, ``key``: which half of the key is wrong;
        ``clock``: this machine's; ``denied``: the key may not do it; ``bucket``, ``missing``:
        there is no such bucket, or no such object; ``region``: another one; ``elsewhere``: a
        redirect to another host, which was not followed; ``changed``: another state of the object;
        ``answer``: another status; ``odd``: a listed key that the library cannot read;
        ``garbled``: no answer of an S3 store; ``broken``: the library failed at it; ``cut``: the
        connection, for good; ``endless``: waited for in vain; ``tls``: no trusted connection;
        ``silent``: none at all.
    words : str
        Status and code as the store gave them, such as ``403 AccessDenied``.
    """

    cause: Cause
    words: str = ""


_CAUSES: dict[str, Cause] = {
    "SignatureDoesNotMatch": "secret",
    "InvalidAccessKeyId": "key",
    "RequestTimeTooSkewed": "clock",
    "NoSuchBucket": "bucket",
    "401": "denied",
    "403": "denied",
    "404": "missing",
    "412": "changed",
    "AuthorizationHeaderMalformed": "region",
    "301": "region",
    "307": "region",
}


_REASONS: tuple[tuple[str, Cause], ...] = (
    (rf"\s{re.escape(NOWHERE)},", "elsewhere"),
    ("BareRedirect", "region"),
    ("InvalidPath {", "odd"),
    (r"InvalidListResponse|source: Header \{|hyper::Error\(\s*Parse", "garbled"),
    ("(?i)certificate|UnknownIssuer|InvalidContentType|handshake", "tls"),
    ("kind: Interrupted", "cut"),
)


def classify(error: BaseException) -> Answer:
    """Tell what an error of obstore's means. Its text stays out: it may hold anything."""
    text = str(error)
    if is_panic(error):
        return Answer("broken")
    status = re.search(r"status code: (\d{3})", text)
    code = re.search(r"<Code>([A-Za-z]{1,60})</Code>", text)
    found = [match.group(1) for match in (status, code) if match]
    if "Could not parse path" in text:
        return Answer("name")
    if status:
        known = [_CAUSES[each] for each in reversed(found) if each in _CAUSES]
        return Answer(known[0] if known else "answer", " ".join(found))
    if isinstance(error, TimeoutError):
        return Answer("endless")
    if isinstance(error, OSError):
        return Answer("silent")
    reason = text.rpartition("inner:")[2]  # before it stand addresses and keys
    otherwise: Cause = "silent" if "HTTP error" in text else "garbled"
    return Answer(next((why for how, why in _REASONS if re.search(how, reason)), otherwise))


def is_panic(error: BaseException) -> bool:
    """Tell whether an error is one that the library did not mean to raise."""
    return type(error).__name__ == "PanicException"
