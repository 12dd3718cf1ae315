"""``approved.toml``: which apps may run at a node, and which may not.

It is read and written here only. A file that is not as it must be is refused as a whole.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, dataclass, fields, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Self

from flame_flwr.errors import ConfigError
from flame_flwr.node.reviewers import is_signed
from flame_flwr.text.textfiles import toml_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.node.reviewers import Reviewers

__all__ = ["Approval", "Approvals", "Rejection", "now", "parse_approval", "toml_of"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_HEAD = """\
# Which apps may run at this node: `flame-flwr node approve`, `accept` and `reject` write it.
# Without it, and where it cannot be read, none may.
"""


@dataclass(frozen=True, slots=True)
class Approval:
    """One approval: of this archive and no other, for one project, until the end of a day.

    Parameters
    ----------
    hash : str
        The archive's SHA-256.
    app : str
        The app's name and version, for whoever reads the file.
    project : str
        The ``project-id`` that a run must have.
    until : date
        The last day.
    may_differ : tuple of str
        Keys of the run config that a run may set otherwise than the app does.
    reviewer, note, since : str
        Who approved it, why, and when.
    key, signature : str
        Of a reviewer who approved it for several hospitals; empty where it was approved here.
    """

    hash: str
    app: str
    project: str
    until: date
    may_differ: tuple[str, ...] = ()
    reviewer: str = ""
    note: str = ""
    since: str = ""
    key: str = ""
    signature: str = ""

    def said(self) -> dict[str, Any]:
        """Return what a signature is over."""
        return {
            "app": self.app,
            "hash": self.hash,
            "may-differ": list(self.may_differ),
            "note": self.note,
            "project": self.project,
            "since": self.since,
            "until": self.until.isoformat(),
        }

    def is_valid(self, reviewers: Reviewers) -> bool:
        """Tell whether it was given here, or by a key that is trusted here."""
        if not self.key and not self.signature:
            return True
        known = reviewers.get(self.key)
        return known is not None and is_signed(self.said(), self.signature, known[1])

    def is_over(self, today: date) -> bool:
        """Tell whether its last day has passed."""
        return today > self.until


@dataclass(frozen=True, slots=True)
class Rejection:
    """An app that may not run here, whoever asks."""

    hash: str
    app: str
    reviewer: str = ""
    note: str = ""
    since: str = ""


@dataclass(frozen=True, slots=True)
class Approvals:
    """What ``approved.toml`` says."""

    approved: tuple[Approval, ...] = ()
    rejected: tuple[Rejection, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the file's text.

        Raises
        ------
        ConfigError
            It is not what it must be; the message says where.
        """
        tables = _toml(text)
        if unknown := sorted(set(tables) - {"approved", "rejected"}):
            raise ConfigError(f"an unknown table: {unknown[0]}")
        return cls(
            tuple(_entry(each, Approval) for each in _entries(tables, "approved")),
            tuple(_entry(each, Rejection) for each in _entries(tables, "rejected")),
        )

    def text(self) -> str:
        """Return the file's text; ``parse`` of it is this again."""
        parts = [f"\n[[approved]]\n{toml_of(each)}" for each in self.approved]
        parts += [f"\n[[rejected]]\n{toml_of(each)}" for each in self.rejected]
        return _HEAD + "".join(parts)

    def of(self, digest: str) -> list[Approval]:
        """Return the approvals of an archive."""
        return [each for each in self.approved if each.hash == digest]

    def rejection(self, digest: str) -> Rejection | None:
        """Return what was said against an archive, if anything."""
        return next((each for each in self.rejected if each.hash == digest), None)

    def with_approval(self, approval: Approval) -> Approvals:
        """Return them with one more, in place of one of the same app and project."""
        # A signed one beside the hospital's own: each is taken back by whoever gave it.
        same = (approval.hash, approval.project, approval.key)
        others = [each for each in self.approved if (each.hash, each.project, each.key) != same]
        rejected = tuple(each for each in self.rejected if each.hash != approval.hash)
        return Approvals((*others, approval), rejected)

    def with_rejection(self, rejection: Rejection) -> Approvals:
        """Return them with an app rejected, and its approvals taken back."""
        approved = tuple(each for each in self.approved if each.hash != rejection.hash)
        others = [each for each in self.rejected if each.hash != rejection.hash]
        return replace(self, approved=approved, rejected=(*others, rejection))


def parse_approval(text: str) -> Approval:
    """Read a signed approval, a file of its own.

    Raises
    ------
    ConfigError
        It is none.
    """
    approval: Approval = _entry(_toml(text), Approval)
    if not approval.signature or not approval.key:
        raise ConfigError("it has no signature: `flame-flwr node sign` makes such a file")
    return approval


def toml_of(entry: Approval | Rejection) -> str:
    """Return an entry as lines of TOML, without what is empty and need not be there."""
    values = {name: getattr(entry, name) for name in entry.__slots__}
    return "".join(
        f"{name.replace('_', '-')} = {_value(value)}\n"
        for name, value in values.items()
        if value or name in _required(type(entry))
    )


def now() -> str:
    """Return the present as entries have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _required(kind: type[Any]) -> set[str]:
    return {field.name for field in fields(kind) if field.default is MISSING}


def _value(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return toml_value(value)


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"no TOML: {error}") from error


def _entries(tables: Mapping[str, Any], name: str) -> list[Any]:
    found = tables.get(name, [])
    if not isinstance(found, list):
        raise ConfigError(f"{name} must be a list of tables, [[{name}]]")
    return found


def _entry(values: Any, kind: type[Any]) -> Any:
    if not isinstance(values, dict):
        raise ConfigError("an entry that is no table")
    given = {key.replace("-", "_"): value for key, value in values.items()}
    # Not passed over: a mistyped `may-difer` or a newer key would leave out what somebody decided.
    if unknown := sorted(set(given) - set(kind.__slots__)):
        raise ConfigError(f"an unknown key in an entry: {unknown[0]}")
    if missing := sorted(_required(kind) - set(given)):
        raise ConfigError(f"an entry without {missing[0]}")
    for key, value in given.items():
        if key == "until":
            fits = type(value) is date  # a datetime is one, too, and has no `last day`
        elif key == "may_differ":
            fits = isinstance(value, list) and all(isinstance(each, str) for each in value)
        else:
            fits = isinstance(value, str)
        if not fits:
            raise ConfigError(f"{key.replace('_', '-')} of an entry has a wrong value")
    if not _DIGEST.fullmatch(given["hash"]):
        raise ConfigError("a hash that is not 64 hexadecimal digits")
    if "may_differ" in given:
        given["may_differ"] = tuple(given["may_differ"])
    return kind(**given)
