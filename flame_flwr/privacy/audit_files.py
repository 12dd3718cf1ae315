"""The files of an audit log: opened while nobody adds a line, and read line by line."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from flame_flwr.errors import ConfigError
from flame_flwr.privacy.audit_chain import chain_path, moved_files, parse_line, read_chain
from flame_flwr.privacy.log_handles import locked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flame_flwr.privacy.audit_chain import Link

__all__ = ["LogFile", "opened_log", "read_entries"]


@dataclass(frozen=True)
class LogFile:
    """An open file of a log.

    Attributes
    ----------
    name : str
        Its name, without the folder.
    opened : binary file
        The file; reading begins at its start wherever it stands.
    size : int or None
        Where it ended when it was opened; ``None`` of a compressed one, which does not grow.
    """

    name: str
    opened: IO[bytes] | gzip.GzipFile
    size: int | None

    def lines(self) -> Iterator[bytes]:
        """Yield its lines with their ends, but for those added since it was opened.

        Raises
        ------
        ConfigError
            It cannot be read.
        """
        at = 0
        try:
            self.opened.seek(0)
            for line in self.opened:
                at += len(line)
                # A node may be adding lines, of which the chain was not read yet.
                if self.size is not None and at > self.size:
                    return
                yield line
        except (OSError, EOFError, zlib.error) as error:
            raise ConfigError(f"{self.name} of the audit log cannot be read ({error})") from error

    def first_number(self) -> int:
        """Return the number of its first chained line; 0 of an older log."""
        places = (parse_line(line.rstrip(b"\n")) for line in self.lines())
        return next((place.number for place in places if place is not None), 0)


@contextmanager
def opened_log(path: Path) -> Iterator[tuple[list[LogFile], Link | None]]:
    """Open an audit log, and the files beside it that it was moved to.

    Parameters
    ----------
    path : Path
        ``audit.jsonl``; it may have been moved to ``audit.jsonl.1`` or
        ``audit.jsonl-20261129.gz``.

    Yields
    ------
    tuple
        The files, the oldest first, and where the chain has come to; ``None`` where that is not
        known.

    Raises
    ------
    ConfigError
        There is no log, or it cannot be read.
    """
    with ExitStack() as stack:
        try:
            files, last = _open(path, stack)
        except OSError as error:
            raise ConfigError(
                f"the audit log {path} cannot be read: {error.strerror}. A node makes it with its "
                "first answer; the node's user may read it, and that user's group"
            ) from error
        yield sorted(files, key=LogFile.first_number), last


def read_entries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what the lines of an audit log say, the oldest first; also those of an older log.

    Raises
    ------
    ConfigError
        There is no log, or it cannot be read.
    """
    with opened_log(path) as (files, _):
        for file in files:
            for line in file.lines():
                try:
                    entry = json.loads(line)
                except (ValueError, RecursionError):
                    continue  # cut off; `verify` says so
                if isinstance(entry, dict):
                    yield entry


def _open(path: Path, stack: ExitStack) -> tuple[list[LogFile], Link | None]:
    try:
        chain = os.open(chain_path(str(path)), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return [_log_file(each, stack) for each in _paths(path)], None
    stack.callback(os.close, chain)
    with locked(chain, shared=True):  # so that no line is half written
        return [_log_file(each, stack) for each in _paths(path)], read_chain(chain)


def _log_file(path: Path, stack: ExitStack) -> LogFile:
    if path.suffix == ".gz":
        return LogFile(path.name, stack.enter_context(gzip.open(path)), None)
    file = stack.enter_context(path.open("rb"))
    return LogFile(path.name, file, os.fstat(file.fileno()).st_size)


def _paths(path: Path) -> list[Path]:
    """Return a log and the files that it was moved to, in the order of their names."""
    moved = [Path(each) for each in moved_files(str(path))]
    # After `logrotate` there may be no log until the next answer. Without any, opening says so.
    return moved if moved and not path.exists() else [*moved, path]
