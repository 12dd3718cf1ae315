"""What a message's process sees of the machine, as bubblewrap and Landlock are told.

It sees the system and Python's environment, the data that its project may read, and what its
analysis and project keep: no other project's, no key, no log, no home, no network, no processes of
others. Bubblewrap is Debian's package; the kernel must let users make namespaces.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import sysconfig
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.data.local_paths import local_paths, locations_of
from flame_flwr.data.registry import read_registry
from flame_flwr.log import logger
from flame_flwr.node.forks import ForkError
from flame_flwr.node.kept_folders import project_of
from flame_flwr.node.limits import Limits
from flame_flwr.node.linux import has_fence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flame_flwr.config import NodeSettings
    from flame_flwr.data.registry import Dataset
    from flame_flwr.flower_node_state import NodeMessage
    from flame_flwr.node.forks import Forks

__all__ = ["Sandbox", "bubblewrap"]

_ISOLATED = (
    "--unshare-user",  # who is not root makes all the others in a user namespace only
    "--unshare-ipc",  # System V's shared memory has no path that a mount could hide
    "--unshare-pid",  # the node is neither seen nor signalled, and all in there end together
    "--unshare-net",  # abstract sockets, too, which have no path either
    "--unshare-uts",  # nothing to gain by it; but who is not root joins no namespace of the system
    "--die-with-parent",  # an app can stop `cat`, which then never sees the end of its input
    "--new-session",  # an app can trace bubblewrap's processes: they do not get the node's terminal
)
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = (
    "alternatives",
    "fonts",
    "group",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "ssl/certs",
    "timezone",
)
"""What libraries look up in ``/etc``, and holds no secret."""

_DEVICES = ("nvidia*", "dri", "kfd")
"""Graphics cards."""

_TRIAL = Limits(memory=2**33, cpu=None, seconds=60)


class Sandbox:
    """The sandbox of this node: whether there can be one, and what each message sees in it.

    Parameters
    ----------
    forks : Forks
        With which it is tried once.
    secrets : sequence of Path
        Files that no analysis may see, also where they lie in a folder with data.
    """

    def __init__(self, forks: Forks, secrets: Sequence[Path] = ()) -> None:
        self._forks, self._secrets = forks, tuple(secrets)
        self._trouble: str | None = None

    def trouble(self) -> str:
        """Return why there can be no sandbox on this machine; empty where there can.

        It is tried once, when the node starts, so that no analysis can change the outcome.
        """
        if self._trouble is None:
            self._trouble = self._try()
        return self._trouble

    def announce(self, settings: NodeSettings) -> str:
        """Say in the node's log whether messages run in a sandbox, and return what was said."""
        try:
            if self.is_on(settings):
                said = "analyses run in bubblewrap's sandbox"
                logger.info("%s", said)
            else:
                why = "the node's config says so" if settings.sandbox == "off" else self.trouble()
                said = f"analyses run without a sandbox: {why}"
                if settings.sandbox != "off" and has_fence():
                    said = f"analyses run behind Landlock, without a sandbox: {why}"
                logger.warning("%s", said)
        except ForkError as error:
            said = f"no message is answered: {error}"
            logger.error("%s", said)
        return said

    def is_on(self, settings: NodeSettings) -> bool:
        """Tell whether messages run in a sandbox.

        Raises
        ------
        ForkError
            The node's config demands one that there cannot be.
        """
        if settings.sandbox == "off":
            return False
        if settings.sandbox == "bwrap" and self.trouble():
            raise ForkError(f'the node\'s config has sandbox = "bwrap", and {self.trouble()}')
        return not self.trouble()

    def command(self, settings: NodeSettings, asked: NodeMessage, limits: Limits) -> list[str]:
        """Return bubblewrap's command for a message; empty for no sandbox.

        The folders that it may write to are those of `limits`.

        Raises
        ------
        ForkError
            As of :meth:`is_on`.
        ConfigError
            The registry cannot be read.
        """
        if not self.is_on(settings):
            return []
        # With every message anew: a dataset that was closed to a project just now is not seen.
        registry = read_registry(Path(settings.datasets)) if settings.datasets else []
        return bubblewrap(
            readable=_readable(settings, registry, project_of(asked)),
            hidden=[*self._secrets, *_nodes_own(settings, registry)],
            writable=map(Path, limits.kept),
            memory=limits.memory,
        )

    def fence(
        self, settings: NodeSettings, asked: NodeMessage, limits: Limits
    ) -> dict[str, list[str]] | None:
        """Return what Landlock keeps a message to, also within bubblewrap; ``None`` without it.

        Raises
        ------
        ForkError, ConfigError
            As of :meth:`command`.
        """
        if settings.sandbox == "off" or not has_fence():
            return None
        # Bubblewrap decides what there is to see. The fence then only repeats its other walls:
        # no TCP, no signals and no abstract sockets, where the kernel's Landlock knows these.
        readable = [Path("/")]
        if not self.is_on(settings):
            registry = read_registry(Path(settings.datasets)) if settings.datasets else []
            readable = [*_readable(settings, registry, project_of(asked)), *_python()]
            readable += [Path(path) for path in (*_SYSTEM, "/sys/devices/system")]
            readable += [Path("/etc", name) for name in _SETTINGS]
        return {
            "readable": [*map(str, readable)],
            "usable": ["/dev", "/proc"],  # a thread writes its name there
            "writable": ["/dev/shm", *limits.kept],  # noqa: S108
        }

    def _try(self) -> str:
        if not shutil.which("bwrap"):
            return "bubblewrap is not installed here: on Debian and Ubuntu, apt install bubblewrap"
        ours, theirs = socket.socketpair()
        try:
            pid = self._forks.fork(theirs, _TRIAL, bubblewrap(memory=_TRIAL.memory))
        except ForkError as error:
            return f"the sandbox does not work here: {error}"
        finally:
            ours.close()
        if self._forks.end(pid).code == 0:
            return ""
        return "no process gets into bubblewrap's sandbox: the node's log says why"


def bubblewrap(
    *,
    readable: Iterable[Path] = (),
    hidden: Iterable[Path] = (),
    writable: Iterable[Path] = (),
    memory: int,
) -> list[str]:
    """Return the command of a sandbox.

    Parameters
    ----------
    readable : iterable of Path
        Files and folders of data.
    hidden : iterable of Path
        What must not be seen where it lies in one of `readable`.
    writable : iterable of Path
        Folders that an analysis may write to, also in one of `hidden`.
    memory : int
        Bytes that its temporary files may have.

    Examples
    --------
    >>> command = bubblewrap(readable=[Path("/var/lib")], memory=2**30)
    >>> at = command.index("/var/lib")
    >>> command[at - 1 : at + 2]
    ['--ro-bind', '/var/lib', '/var/lib']
    """
    readable = list(readable)
    # The order matters: what is mounted later lies over what was there.
    return [
        *_system(),
        *("--size", str(memory), "--tmpfs", "/tmp"),  # noqa: S108  (a file system of its own)
        *("--size", str(memory), "--tmpfs", "/dev/shm"),  # noqa: S108
        *_bind("--ro-bind", _python()),
        *_bind("--ro-bind", readable),  # after /tmp, where a trial may have its data
        *_masks(hidden, [*readable, *_python()]),
        *_bind("--bind", writable),  # in the hidden `state-dir`
        *("--remount-ro", "/dev", "--remount-ro", "/"),  # last: until now places were made there
    ]


def _system() -> list[str]:
    """Return the part that is the same for every message of this machine."""
    program = shutil.which("bwrap") or "bwrap"
    options = [program, *_ISOLATED]
    if _can_disable_namespaces(program):
        # In namespaces of its own an app has every capability, and much of the kernel's code that
        # is only for root: many of its security holes are found there.
        options.append("--disable-userns")
    for path in map(Path, _SYSTEM):
        if path.is_symlink():  # /bin and /lib are parts of /usr on a merged system
            options += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            options += ["--ro-bind", str(path), str(path)]
    options += _bind("--ro-bind", [Path("/etc", name) for name in _SETTINGS])
    options += ["--proc", "/proc", "--dev", "/dev"]
    # Of a node that is root, an app could set `core_pattern` there without any capability: the
    # kernel then starts, as root and outside, what it names. Bubblewrap itself leaves it writable.
    options += _bind("--ro-bind", [Path("/proc/sys")])
    devices = [path for pattern in _DEVICES for path in Path("/dev").glob(pattern)]
    options += _bind("--dev-bind", devices)
    options += _bind("--ro-bind", [Path("/sys/devices/system")])  # how many cores there are
    return options


@cache
def _can_disable_namespaces(program: str) -> bool:
    """Tell whether this bubblewrap, from 0.8, can keep an app from making namespaces of its own."""
    import subprocess

    said = subprocess.run([program, "--help"], capture_output=True, check=False)  # noqa: S603
    return b"--disable-userns" in said.stdout + said.stderr


@cache
def _python() -> tuple[Path, ...]:
    """Return the folders that this Python imports from, without the one that it was started in."""
    paths = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
    # Not all of `sys.path`: in the folder that the node was started in there may be anything.
    paths |= {path for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
    for name, module in list(sys.modules.items()):
        if name.startswith("__editable__"):  # of packages that are installed to be worked on
            for folder in map(Path, getattr(module, "MAPPING", {}).values()):
                linked = [path for path in folder.glob("*") if path.is_symlink()]
                paths |= {str(folder), *map(os.path.realpath, linked)}
    found = sorted(Path(path) for path in paths if path and os.path.isabs(path))
    above = {*found, *map(Path, _SYSTEM)}  # what lies in one of these is there with it
    return tuple(path for path in found if not above & set(path.parents))


def _bind(option: str, paths: Iterable[Path]) -> list[str]:
    return [part for path in paths if path.exists() for part in (option, str(path), str(path))]


def _masks(hidden: Iterable[Path], shown: Sequence[Path]) -> list[str]:
    """Return what lies over files and folders that would be seen in others, also through links."""
    options: list[str] = []
    for path in filter(Path.exists, hidden):
        over = ["--tmpfs"] if path.is_dir() else ["--ro-bind", "/dev/null"]
        real = path.resolve()  # a folder can be shown under another name than its secrets have
        for folder in shown:
            there = folder.resolve()
            if real.is_relative_to(there):
                options += [*over, str(folder / real.relative_to(there))]
    return options


def _nodes_own(settings: NodeSettings, registry: Sequence[Dataset]) -> list[Path]:
    """Return what the node alone reads and writes, also where the hospital has it beside data."""
    rules = settings.disclosure if os.path.isabs(settings.disclosure) else ""
    found = [settings.state_dir, settings.cache_dir, settings.datasets, rules]
    found += [settings.identity_key, settings.peers]
    for dataset in registry:
        references = [each for each in dataset.options.values() if isinstance(each, dict)]
        found += [str(each["file"]) for each in references if "file" in each]
    if settings.audit_log:  # with its chain, and what logrotate has made of it
        log = Path(settings.audit_log)
        with suppress(OSError):
            found += [str(each) for each in log.parent.iterdir() if each.name.startswith(log.name)]
    return [Path(path) for path in found if path]


def _readable(settings: NodeSettings, registry: Sequence[Dataset], project: str) -> list[Path]:
    """Return the folders and files that a project's analyses may read at this node."""
    allowed = [each.url for each in registry if each.allows(project)]
    return local_paths([*locations_of(settings.data), *allowed])
