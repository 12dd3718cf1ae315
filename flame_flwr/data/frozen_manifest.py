"""The manifest of data that a node has frozen: when, from what, how much, and its digest."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import json
import secrets
import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from flame_flwr.data.people import counted
from flame_flwr.data.table_pieces import rows_of, unpack
from flame_flwr.errors import DataError
from flame_flwr.labels import is_missing
from flame_flwr.privacy.evidence import Evidence
from flame_flwr.text.textfiles import decode_text

__all__ = ["Digest", "FrozenTotals", "Manifest", "Wanted"]

_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a study wants frozen: the answer of one dataset to its query.

    Parameters
    ----------
    project : str
        Whose study it is.
    name : str
        What the study calls it.
    dataset : str
        As the registry calls it.
    kind : str
        The type of analysis, such as ``s3``.
    keys : tuple of str
        What it asks for.
    subject : str
        The column of tables that says whom a row is about, to count people by.
    """

    project: str
    name: str
    dataset: str
    kind: str
    keys: tuple[str, ...]
    subject: str = ""

    @property
    def query(self) -> str:
        """The SHA-256 of what is asked."""
        return hashlib.sha256(json.dumps([self.kind, self.keys]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of frozen data.

    Parameters
    ----------
    project, name, dataset : str
        As of :class:`Wanted`.
    query : str
        SHA-256 of what was asked.
    time : float
        When, in seconds since 1970.
    rows, people : int or None
        How many there are in CSV files, tables and FHIR bundles, where that can be known.
    columns : tuple of str
        The columns of the CSV files and tables.
    nbytes : int
        The size of the contents.
    files : tuple of str
        The Parquet files, in their order.
    key : str
        A random key, in hexadecimal digits. It never leaves the node: without it nobody can find
        out from the digest what a small table holds.
    hmac : str
        HMAC-SHA-256 of the contents under that key.
    """

    project: str
    name: str
    dataset: str
    query: str
    time: float
    rows: int | None
    people: int | None
    columns: tuple[str, ...]
    nbytes: int
    files: tuple[str, ...]
    key: str
    hmac: str

    def to_json(self) -> bytes:
        """Return what :meth:`from_json` reads."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Read a manifest.

        Raises
        ------
        DataError
            It is not a manifest, or was damaged.
        """
        try:
            said = json.loads(decode_text(content))
            lists = {key: tuple(map(str, said[key])) for key in ("columns", "files")}
            made = cls(**{**said, **lists})
            bytes.fromhex(made.key)  # what is no key is damage, and is to be said as such
            texts = [getattr(made, each.name) for each in fields(cls) if each.type == "str"]
            numbers = made.time, made.nbytes
            if not all(isinstance(text, str) for text in texts):
                raise TypeError("a value of another type")
            if not all(isinstance(number, int | float) for number in numbers):
                raise TypeError("a value of another type")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                "the manifest of frozen data is damaged: `flame-flwr data drop` removes it",
                detail=str(error),
            ) from error
        return made

    def words(self) -> str:
        """Describe it, for the node's log."""
        known = [f"{self.nbytes} bytes"]
        known += [f"{self.rows} rows"] if self.rows is not None else []
        known += [f"{self.people} people"] if self.people is not None else []
        known += [f"columns {', '.join(self.columns)}"] if self.columns else []
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.time))
        return (
            f"dataset {self.dataset}, frozen as {self.name!r} for project {self.project!r} on "
            f"{when}: {', '.join(known)}; query {self.query[:16]}, HMAC-SHA-256 {self.hmac}"
        )

    def is_over(self, days: float) -> bool:
        """Tell whether it is older than so many days."""
        return time.time() - self.time > days * _DAY


class Digest:
    """The HMAC of contents in their order.

    Parameters
    ----------
    key : str
        In hexadecimal digits; a random one where it is not given.

    Examples
    --------
    >>> digest = Digest("00" * 32)
    >>> digest.add("a.csv", b"age")
    >>> len(digest.hex())
    64
    """

    def __init__(self, key: str = "") -> None:
        self.key = key or secrets.token_hex(32)
        self._made = hmac.new(bytes.fromhex(self.key), digestmod=hashlib.sha256)

    def add(self, name: str, content: bytes) -> None:
        """Add a content, with its name and both their sizes, so that none runs into the next."""
        called = name.encode("utf-8", "surrogatepass")
        self._made.update(len(called).to_bytes(8, "big") + called)
        self._made.update(len(content).to_bytes(8, "big"))
        self._made.update(content)

    def hex(self) -> str:
        """Return the digest in hexadecimal digits."""
        return self._made.hexdigest()


@dataclass
class FrozenTotals:
    """How much there is in contents that are added one by one.

    Parameters
    ----------
    kind : str
        ``s3``, ``fhir`` or ``sql``.
    subject : str
        The column of tables that says whom a row is about.
    """

    kind: str
    subject: str = ""
    nbytes: int = 0
    rows: int | None = None
    people: int | None = None
    columns: dict[str, None] = field(default_factory=dict)
    _bundles: list[Any] = field(default_factory=list)
    _people: set[str] = field(default_factory=set)

    def add(self, name: str, content: bytes) -> None:
        """Add a content; only tables and bundles have rows."""
        self.nbytes += len(content)
        try:
            if self.kind == "s3" and name.lower().endswith(".csv"):
                self._add_table(csv.reader(io.StringIO(decode_text(content), newline="")))
            elif self.kind == "sql":
                piece = unpack(content)
                self.columns |= dict.fromkeys(piece)
                self.rows = (self.rows or 0) + rows_of(piece)
                if self.subject in piece:
                    ids = piece[self.subject].values
                    self._people.update(str(each) for each in ids if not is_missing(each))
            elif self.kind == "fhir":
                bundle = json.loads(content)
                self.rows = (self.rows or 0) + len(bundle.get("entry", []))
                self._bundles.append(bundle)
        except (ValueError, csv.Error, AttributeError, TypeError):
            return

    def close(self) -> None:
        """Count people, of whom one may be in several bundles."""
        by_number = dict(enumerate(self._bundles))
        self.people = counted(Evidence(), [by_number]).people or len(self._people) or None
        self._bundles.clear()

    def _add_table(self, rows: Any) -> None:
        header: list[str] = next(rows, [])
        self.columns |= dict.fromkeys(header)
        place = header.index(self.subject) if self.subject in header else len(header)
        self.rows = self.rows or 0
        for row in filter(None, rows):  # blank lines are no rows, as pandas has it
            self.rows += 1
            if place < min(len(row), len(header)) and row[place]:
                self._people.add(row[place])
