"""A node's ``<state-dir>/gate``: who may run there, and the archives of the apps that asked.

The folder is its user's alone (0700): what is in it decides which code runs. Files are written
whole, one process at a time; the node reads them with every message.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.data.kept_files import check_state_dir
from flame_flwr.errors import ConfigError
from flame_flwr.files import reason_of, take_lock, write_whole
from flame_flwr.node.app_archive import LARGEST, digest_of
from flame_flwr.node.approvals_file import Approvals
from flame_flwr.node.own_files import checked_folder, opened_own
from flame_flwr.node.reviewers import Reviewers, fingerprint, read_public_key
from flame_flwr.node.waiting_apps import FullError, Request, reasons_full, replaced_by
from flame_flwr.text.textfiles import decode_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["GateFolder"]

_MOST_ASKED = 5
_LOCK_LIMIT = 5.0
_ARCHIVE = re.compile(r"([0-9a-f]{64})\.fab")
_KEY_NAME = re.compile(r"[\w.@+-]{1,100}")


class GateFolder:
    """The folder, which need not be there yet.

    Parameters
    ----------
    state_dir : str or Path
        ``state-dir`` of the node config.
    user : int, optional
        As whom the node runs; this process's user where it is not given.
    """

    def __init__(self, state_dir: str | Path, user: int | None = None) -> None:
        self.path = Path(state_dir) / "gate"
        self._user = os.geteuid() if user is None else user
        self._approvals: tuple[object, Approvals] | None = None

    # ---- what may run ------------------------------------------------------------------------

    def approvals(self) -> Approvals:
        """Return what ``approved.toml`` says; nothing is approved where there is none.

        Raises
        ------
        ConfigError
            It cannot be read, is damaged, or others than the node's user may have written it.
        """
        path = self.path / "approved.toml"
        try:
            self._check()
            with opened_own(path, self._user) as (handle, about):
                # Read with every message, parsed when it is another: each one is a new file.
                version = (about.st_mtime_ns, about.st_size, about.st_ino)
                if self._approvals is None or self._approvals[0] != version:
                    self._approvals = (version, _parsed(path, _content(handle)))
                return self._approvals[1]
        except FileNotFoundError:
            return Approvals()
        except OSError as error:
            raise ConfigError(f"approved.toml: {reason_of(error)}", detail=str(error)) from error

    def change(self, change: Callable[[Approvals], Approvals]) -> None:
        """Write ``approved.toml`` anew, changed; nobody else does meanwhile.

        Raises
        ------
        ConfigError
            What is there is damaged: it stays as it is.
        OSError
            It cannot be written.
        """
        with self.locked():
            text = change(self.approvals()).text()
            Approvals.parse(text)  # never a file that the node could not read
            write_whole(self.path / "approved.toml", [text.encode()])

    def reviewers(self) -> Reviewers:
        """Return whose signatures are trusted; a file that is no key is nobody's."""
        found: Reviewers = {}
        for path in sorted((self.path / "reviewers").glob("*.pub")):
            with suppress(OSError, ConfigError):
                with opened_own(path, self._user) as (handle, _):
                    key = read_public_key(_content(handle))
                found[fingerprint(key)] = (path.stem, key)
        return found

    def trust(self, name: str, key: Ed25519PublicKey, content: bytes) -> Path:
        """Keep a reviewer's public key, and return where.

        Raises
        ------
        ConfigError
            There is another key of this name, or it is no name.
        """
        if not _KEY_NAME.fullmatch(name) or name.startswith("."):
            raise ConfigError(f"a reviewer's name becomes that of a file: {name!r} cannot")
        folder = self.path / "reviewers"
        with self.locked():
            folder.mkdir(mode=0o700, exist_ok=True)
            path = folder / f"{name}.pub"
            if path.exists() and fingerprint(read_public_key(path.read_bytes())) != fingerprint(
                key
            ):
                raise ConfigError(f"{path} is another key: remove it, or give this one a --name")
            write_whole(path, [content])
        return path

    # ---- apps that asked ---------------------------------------------------------------------

    def keep_request(self, digest: str, request: Request, content: bytes | None) -> None:
        """Keep an app that may not run, and who asked for it.

        Parameters
        ----------
        digest : str
            The archive's hash.
        request : Request
            With the one time that is to be noted.
        content : bytes, optional
            The archive; ``None`` where it is here.

        Raises
        ------
        FullError
            There is no room for it.
        OSError
            It cannot be written.
        """
        with self.locked():
            folder = self.path / "pending"
            folder.mkdir(mode=0o700, exist_ok=True)
            # First: where there is no room for the archive, nothing is noted of the app either.
            if content is not None and self.archive_path(digest) is None:
                self._make_room(request, len(content))
                write_whole(folder / f"{digest}.fab", [content])
            before = self.request(digest)
            asked = (*(before.asked if before else ()), *request.asked)[-_MOST_ASKED:]
            text = json.dumps({"app": request.app, "asked": asked}, indent=1)
            write_whole(folder / f"{digest}.json", [text.encode()])

    def request(self, digest: str) -> Request | None:
        """Return who asked for an app; ``None`` where nobody waits for an answer."""
        try:
            said = json.loads((self.path / "pending" / f"{digest}.json").read_bytes())
            asked = tuple({k: str(v) for k, v in each.items()} for each in said["asked"])
            return Request(str(said["app"]), asked)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return Request("?")  # the list is shown, also where one file is damaged

    def requests(self) -> dict[str, Request]:
        """Return all apps that wait for an answer, by their hashes, the oldest first."""
        files = sorted((self.path / "pending").glob("*.json"), key=_age)
        found = {path.stem: self.request(path.stem) for path in files}
        return {digest: request for digest, request in found.items() if request is not None}

    def settle(self, digest: str) -> None:
        """Take an app that was decided about from the list, and keep its archive."""
        with self.locked():
            waiting, kept = self.path / "pending" / f"{digest}.fab", self.path / "apps"
            if waiting.exists():
                kept.mkdir(mode=0o700, exist_ok=True)
                os.replace(waiting, kept / waiting.name)
            waiting.with_suffix(".json").unlink(missing_ok=True)

    def keep_archive(self, digest: str, content: bytes) -> None:
        """Keep the archive of an app that was approved before it came, for later comparisons."""
        if self.archive_path(digest) is None:
            with self.locked():
                (self.path / "apps").mkdir(mode=0o700, exist_ok=True)
                write_whole(self.path / "apps" / f"{digest}.fab", [content])

    def archive_path(self, digest: str) -> Path | None:
        """Return where an app's archive is; ``None`` where it is not here."""
        found = (self.path / name / f"{digest}.fab" for name in ("apps", "pending"))
        return next((path for path in found if path.exists()), None)

    def digests(self) -> set[str]:
        """Return the hashes of all apps that are known here."""
        files = [*self.path.glob("apps/*.fab"), *self.path.glob("pending/*.fab")]
        known = {found[1] for path in files if (found := _ARCHIVE.fullmatch(path.name))}
        approvals = self.approvals()
        decided = {a.hash for a in approvals.approved} | {r.hash for r in approvals.rejected}
        return known | decided | set(self.requests())

    def read_archive(self, digest: str) -> bytes:
        """Return an app's archive.

        Raises
        ------
        ConfigError
            It is not here, or not what it was.
        """
        path = self.archive_path(digest)
        if path is None:
            raise ConfigError(f"the archive of {digest[:12]} has not come to this node yet")
        content = path.read_bytes()
        if digest_of(content) != digest:  # a reviewer would look at one app and approve another
            raise ConfigError(f"{path} was changed: remove it, and have the app sent once more")
        return content

    # ---- the folder itself -------------------------------------------------------------------

    def read(self, name: str) -> bytes:
        """Return what one of its files holds.

        Raises
        ------
        ConfigError
            Others than the node's user may have written it.
        OSError
            It cannot be read.
        """
        self._check()
        with opened_own(self.path / name, self._user) as (handle, _):
            return _content(handle)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder where it is missing, and keep others from writing within the block.

        Raises
        ------
        ConfigError
            Another process has held it for five seconds.
        OSError
            It cannot be made.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        self._check()
        handle = os.open(
            self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            if not take_lock(handle, _LOCK_LIMIT):
                raise ConfigError(
                    f"another process has written to the node's `gate` folder for "
                    f"{_LOCK_LIMIT:.0f} s: try again"
                )
            yield
        finally:
            os.close(handle)

    def _check(self) -> None:
        """See that nobody else can have put this folder, or what is in it, where it is."""
        check_state_dir(self.path.parent, self._user)
        checked_folder(self.path, self._user)
        for name in ("apps", "pending", "reviewers"):
            with suppress(FileNotFoundError):  # nothing has come yet
                checked_folder(self.path / name, self._user)

    def full(self) -> list[str]:
        """Say why apps that are sent now are refused; nothing where they are kept."""
        return list(reasons_full(self._waiting()).values())

    def _make_room(self, request: Request, size: int) -> None:
        """Let an app that is being worked on replace its older versions, and no other app.

        Where there is no room, the new one is refused: else whoever reaches the server could push
        out what somebody is about to look at.
        """
        if size > LARGEST:
            raise FullError(f"its archive is larger than {LARGEST // 2**20} MB")
        waiting = self._waiting()
        replaced = replaced_by(request, waiting)
        for digest in replaced:
            del waiting[digest]
        full = reasons_full(waiting, size)
        if why := full.get(None) or full.get(request.project):
            raise FullError(f"{why}: `flame-flwr node reject` them")
        for digest in replaced:
            (self.path / "pending" / f"{digest}.fab").unlink(missing_ok=True)
            (self.path / "pending" / f"{digest}.json").unlink(missing_ok=True)

    def _waiting(self) -> dict[str, tuple[Request, int]]:
        """Return the apps whose archives are kept for a decision, and these archives' sizes."""
        found = {}
        for digest, request in self.requests().items():
            with suppress(FileNotFoundError):
                found[digest] = request, (self.path / "pending" / f"{digest}.fab").stat().st_size
        return found


def _content(handle: int) -> bytes:
    with open(handle, "rb", closefd=False) as file:
        return file.read()


def _parsed(path: Path, content: bytes) -> Approvals:
    try:
        return Approvals.parse(decode_text(content))
    except ValueError as error:  # a ConfigError, too
        raise ConfigError(f"approved.toml is damaged: {error}", detail=str(path)) from error


def _age(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
