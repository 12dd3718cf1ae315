"""Where a node keeps frozen data: Parquet files in its ``state-dir``, each with a manifest.

The manifest is written last, and once: without it nothing was frozen. Whatever a source gives is
kept as it came, piece by piece, so that an analysis gets the same values to the bit.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.data.frozen_figures import FrozenFigures
from flame_flwr.data.frozen_manifest import Digest, FrozenTotals, Manifest, Wanted
from flame_flwr.data.kept_files import FolderFiles
from flame_flwr.data.spool import Spool
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.files import os_errors_as
from flame_flwr.folder_trees import remove_tree
from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from flame_flwr.config import NodeSettings

    _Fetch = Callable[[Callable[[bytes], Any]], dict[str, list[Any]]]

__all__ = ["FROZEN", "FrozenStore"]

FROZEN = "frozen"
"""The folder in a ``state-dir`` for frozen data, which no analysis's process sees."""

_CHUNK = 64 * 2**20
_MANIFEST = ".json"


@dataclass(frozen=True)
class FrozenStore:
    """The frozen data of a node.

    Parameters
    ----------
    state_dir : Path
        Of the node's config.
    days : float
        How long frozen data is kept.
    most : float
        How many bytes all of it together may take.
    """

    state_dir: Path
    days: float
    most: float

    @classmethod
    def of(cls, settings: NodeSettings, folder: str = "") -> FrozenStore:
        """Return the store of a node: in its `state-dir`, unless another folder is named."""
        return cls(
            Path(folder or settings.state_dir), settings.freeze_days, settings.freeze_gb * 1e9
        )

    def expire(self) -> None:
        """Remove what is older than `days`."""
        for path, manifest in self.all():
            if manifest.is_over(self.days):
                self.drop(path, manifest)
                logger.info("removed after %g days: %s", self.days, manifest.words())

    def find(self, wanted: Wanted) -> Manifest | None:
        """Return the manifest of a query's frozen data; ``None`` where there is none."""
        self.expire()
        files = self._files(wanted)
        name = f"{wanted.query[:32]}{_MANIFEST}"
        if not files.folder.is_dir() or name not in files.names():
            return None
        return Manifest.from_json(files.read(name))

    def freeze(self, wanted: Wanted, fetch: _Fetch) -> Manifest:
        """Keep what a source gives for a query, and return its manifest.

        Parameters
        ----------
        wanted : Wanted
            What it is.
        fetch : callable
            Reads the source: it is given a function, calls that with each piece of content, and
            returns the function's results by key.

        Raises
        ------
        ConfigError
            DuckDB is not installed, or the folder cannot be.
        DataError
            It cannot be read or kept, or all frozen data would be too much.
        """
        if find_spec("duckdb") is None:
            raise ConfigError(
                "frozen data needs DuckDB on the node: pip install 'flame-flwr[freeze]'"
            )
        files = self._files(wanted)
        files.make()
        with (
            os_errors_as(DataError, "the node cannot keep frozen data"),
            closing(Spool(str(self.state_dir))) as spool,
        ):
            manifest = self._keep(wanted, files, fetch(spool.write), spool)
        logger.info("%s", manifest.words())
        return manifest

    def contents(self, wanted: Wanted, manifest: Manifest) -> Iterator[tuple[str, bytes]]:
        """Yield all contents in their order, each with its key.

        Raises
        ------
        DataError
            It is not what was frozen. That is known at the end only: use nothing before.
        """
        folder, digest = self._files(wanted).folder, Digest(manifest.key)
        for name in manifest.files:
            # the last part alone: whoever changes a manifest must not lead this out of the folder
            for key, content in _read(folder / os.path.basename(name)):
                digest.add(key, content)
                yield key, content
        if digest.hex() != manifest.hmac:
            raise DataError(
                "the frozen data is not what was frozen: `flame-flwr data drop` removes it, and "
                "the next run freezes it anew"
            )

    def all(self) -> Iterator[tuple[Path, Manifest]]:
        """Yield where each manifest is, and the manifest: of all that is frozen, oldest first."""
        found = []
        for path in (self.state_dir / FROZEN).glob(f"*/*/*{_MANIFEST}"):
            with suppress(DataError, OSError):  # one that is damaged is in nobody's way
                found.append((path, Manifest.from_json(path.read_bytes())))
        yield from sorted(found, key=lambda each: each[1].time)

    def figures(self, digests: Collection[str]) -> FrozenFigures:
        """Return the account of what has left of the datasets that these digests belong to."""
        return FrozenFigures(
            self.state_dir, [each for _, each in self.all() if each.hmac in digests]
        )

    def drop(self, path: Path, manifest: Manifest) -> None:
        """Remove frozen data, as :meth:`all` gives it; with the last of a dataset its account."""
        for name in (path.name, *manifest.files):
            (path.parent / os.path.basename(name)).unlink(missing_ok=True)
        owner = manifest.project, manifest.dataset
        if all((each.project, each.dataset) != owner for _, each in self.all()):
            FrozenFigures(self.state_dir, [manifest]).drop()

    def _files(self, wanted: Wanted) -> FolderFiles:
        # one text: "a" and "b-c" are not "a-b" and "c"
        owner = json.dumps([wanted.project, wanted.name])
        return FolderFiles(self.state_dir, FROZEN, owner, wanted.dataset)

    def _keep(
        self, wanted: Wanted, files: FolderFiles, found: dict[str, list[Any]], spool: Spool
    ) -> Manifest:
        """Write Parquet files, then the manifest, unless another process was quicker."""
        used = sum(manifest.nbytes for _, manifest in self.all())
        if used + spool.size > self.most:
            raise DataError(
                "all frozen data of this node would be larger than `freeze-gb` in its config: "
                "`flame-flwr data drop` removes what is not needed any more"
            )
        digest, totals = Digest(), FrozenTotals(wanted.kind, wanted.subject)
        temporary = tempfile.mkdtemp(prefix=".part-", dir=files.folder)
        try:
            names = _write(Path(temporary), _noted(found, spool, digest, totals))
            totals.close()
            # another process may freeze the same now: each has files of its own until one settles
            kept = f"{wanted.query[:32]}-{secrets.token_hex(4)}"
            moved = tuple(f"{kept}.{place}.parquet" for place in range(len(names)))
            for name, target in zip(names, moved, strict=True):
                os.replace(name, files.folder / target)
            manifest = _manifest(wanted, digest, totals, moved)
            return self._settle(wanted, files, Path(temporary), manifest)
        finally:
            _clear(files.folder, temporary)

    def _settle(
        self, wanted: Wanted, files: FolderFiles, temporary: Path, manifest: Manifest
    ) -> Manifest:
        made = temporary / "manifest"
        made.write_bytes(manifest.to_json())
        made.chmod(0o600)
        try:
            # a rename would replace the manifest of a process that was quicker; a link does not
            os.link(made, files.folder / f"{wanted.query[:32]}{_MANIFEST}")
        except FileExistsError:
            for name in manifest.files:
                files.remove(name)
            other = self.find(wanted)
            assert other is not None, "it was there a moment ago"
            return other
        return manifest


def _noted(
    found: dict[str, list[Any]], spool: Spool, digest: Digest, totals: FrozenTotals
) -> Iterator[tuple[str, bytes]]:
    for key, parts in found.items():
        for place, size in parts:
            content = spool.read(place, size)
            digest.add(key, content)
            totals.add(key, content)
            yield key, content


def _manifest(
    wanted: Wanted, digest: Digest, totals: FrozenTotals, files: tuple[str, ...]
) -> Manifest:
    return Manifest(
        project=wanted.project,
        name=wanted.name,
        dataset=wanted.dataset,
        query=wanted.query,
        time=time.time(),
        rows=totals.rows,
        people=totals.people,
        columns=tuple(totals.columns),
        nbytes=totals.nbytes,
        files=files,
        key=digest.key,
        hmac=digest.hex(),
    )


def _write(folder: Path, contents: Iterable[tuple[str, bytes]]) -> list[Path]:
    """Write contents into Parquet files of limited size, so that memory has one at a time."""
    names: list[Path] = []
    rows: list[tuple[str, bytes]] = []
    size = 0
    for key, content in contents:
        rows.append((key, content))
        size += len(content)
        if size >= _CHUNK:
            names.append(_write_one(folder / f"{len(names)}.parquet", rows))
            rows, size = [], 0
    if rows:
        names.append(_write_one(folder / f"{len(names)}.parquet", rows))
    return names


def _write_one(path: Path, rows: list[tuple[str, bytes]]) -> Path:
    with _duckdb() as database:
        database.execute("CREATE TABLE contents (key VARCHAR, content BLOB)")
        database.executemany("INSERT INTO contents VALUES (?, ?)", rows)
        database.execute(f"COPY contents TO '{_quoted(path)}' (FORMAT parquet, COMPRESSION zstd)")
    path.chmod(0o600)
    with path.open("rb") as file:
        # a manifest that survives a power failure must not name files that do not
        os.fsync(file.fileno())
    return path


def _read(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with _duckdb() as database:
            found = database.execute(f"SELECT key, content FROM '{_quoted(path)}'")  # noqa: S608
            while row := found.fetchone():
                yield row
    except Exception as error:
        raise DataError(
            "frozen data cannot be read: `flame-flwr data drop` removes it", detail=str(error)
        ) from error


def _duckdb() -> Any:
    import duckdb

    return duckdb.connect(":memory:", config={"threads": 1, "autoinstall_known_extensions": False})


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _clear(folder: Path, temporary: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        remove_tree(os.path.basename(temporary), handle)
    finally:
        os.close(handle)
