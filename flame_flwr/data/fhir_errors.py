"""The words for what a FHIR server answers in place of a search result.

A message holds the status and the codes of an OperationOutcome, which are a closed list; its texts
may name patients and stay on the node, in the detail.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

__all__ = ["no_answer", "outcome_of", "status_message"]

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

_BY_STATUS = {
    200: "what came is not a FHIR resource",
    400: "the server does not take this search (400)",
    401: "the server refuses this node's credentials (401): are they right and current?",
    403: "this node's credentials may not search there (403)",
    404: "the server has nothing there (404): check the URL's path, or the resource type",
}


def status_message(status: int, *, paging: bool, has_credentials: bool) -> str:
    """Say what a status means, other than that of a search result.

    Parameters
    ----------
    status : int
        Of HTTP.
    paging : bool
        Whether another page than the first was asked for.
    has_credentials : bool
        Whether the node has some for this server.

    Examples
    --------
    >>> status_message(401, paging=False, has_credentials=False)
    'the server wants credentials (401), and this node has none for it'
    """
    if status == 401 and not has_credentials:
        return "the server wants credentials (401), and this node has none for it"
    if status == 410 or (status == 404 and paging):
        return (
            f"the server has forgotten this search meanwhile ({status}): ask for larger pages "
            "with _count, or have the server keep searches for longer"
        )
    if 300 <= status < 400:
        return f"the server sends elsewhere ({status}), which is not followed: mend the URL"
    other = f"the server has a trouble of its own ({status}); its log says which"
    return _BY_STATUS.get(status, other)


def no_answer(error: httpx.HTTPError, seconds: float) -> str:
    """Say why there is no answer at all."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return (
                "no trusted TLS connection to the FHIR server: check its URL, and `ca-file` where "
                "its certificate is of the hospital's own CA"
            )
        cause = cause.__cause__ or cause.__context__
    return (
        f"no answer from the FHIR server within {seconds:.0f} s: is it running, is its URL right, "
        "and does the network let this node through?"
    )


def outcome_of(content: Any) -> tuple[str, str] | None:
    """Return an OperationOutcome's codes, which may travel, and its texts, which may not.

    ``None`` where it is another resource, or none.
    """
    if not isinstance(content, Mapping) or content.get("resourceType") != "OperationOutcome":
        return None
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
