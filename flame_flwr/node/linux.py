"""Calls to the Linux kernel that the node needs and Python 3.11 has no function for."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import stat
from collections.abc import Iterable

__all__ = [
    "adopt_orphans",
    "allow_inspection",
    "drop_capabilities",
    "end_with_parent",
    "fence",
    "forbid_new_privileges",
    "has_fence",
    "join_namespaces",
    "leave_keyring",
]

_PDEATHSIG, _DUMPABLE, _CAPBSET_DROP, _CHILD_SUBREAPER = 1, 4, 24, 36
_NO_NEW_PRIVS, _CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64

_NEW_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
"""Mounts, host name, IPC, users, processes and network."""

_KEYCTL = 250 if os.uname().machine == "x86_64" else 219  # of all newer architectures
_JOIN_SESSION_KEYRING = 1

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_WRITE_FILE, _READ_DIR, _REFER, _TRUNCATE = 1 << 1, 1 << 3, 1 << 13, 1 << 14
_READ = 1 << 0 | 1 << 2 | _READ_DIR
_EVERY = (1 << 15) - 1
_TCP = _OUTSIDE = 0b11
"""Landlock's system calls, and what may be done with files, with TCP and to what is outside.

As the kernel's ``include/uapi/linux/landlock.h`` has them; the numbers of calls are the same on
x86 and ARM.
"""

_libc = ctypes.CDLL(None, use_errno=True)


def allow_inspection(allowed: bool) -> None:
    """Say whether other processes of this user may read this one's memory and descriptors."""
    _prctl(_DUMPABLE, int(allowed))


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends."""
    _prctl(_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Have this process killed when its parent ends."""
    _prctl(_PDEATHSIG, signal.SIGKILL)


def forbid_new_privileges() -> None:
    """Make set-user-id programs, such as sudo, run without their owner's rights from here on."""
    _prctl(_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """Give up every capability, also for programs that this process starts."""
    # First what programs that are started later could have: to drop that takes a capability.
    for capability in range(_MOST_CAPABILITIES):
        _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)  # fails for those this kernel has not
    _libc.prctl(_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    _check(_libc.capset(header, none), "capset")


def join_namespaces(process: int) -> None:
    """Move this process into the namespaces of another; processes it forks are in all of them.

    Parameters
    ----------
    process : int
        A descriptor of a process (``pidfd``) whose namespaces this user has made. This process has
        one thread.

    Raises
    ------
    OSError
        The kernel refuses.
    """
    # One call for all: joined one by one, each would change which may be joined after it.
    _check(_libc.setns(process, _NEW_NAMESPACES), "setns")


def leave_keyring() -> None:
    """Take a new session keyring in place of the inherited one.

    The kernel keeps keys there that need no file, such as Kerberos tickets. Processes have it from
    whoever has started them, whatever namespaces they are in.

    Raises
    ------
    OSError
        The kernel makes no more keyrings for this user.
    """
    if _libc.syscall(_KEYCTL, _JOIN_SESSION_KEYRING, None) < 0:
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EPERM):  # else it has none, or lets nobody ask
            raise OSError(number, f"keyctl: {os.strerror(number)}")


def has_fence() -> bool:
    """Tell whether this kernel has Landlock, as most from 5.13 have."""
    return _landlock_version() > 0


def fence(readable: Iterable[str], usable: Iterable[str], writable: Iterable[str]) -> None:
    """Have the kernel keep this process, and all that it starts, to some files: with Landlock.

    It needs no rights and no namespaces. From Linux 6.7 there are no TCP connections behind it
    either, from 6.12 no signals to processes outside, and none of their abstract sockets.

    Parameters
    ----------
    readable : iterable of str
        Files and folders that may be read, with all below; those that are missing are passed over.
    usable : iterable of str
        Those whose files may also be written, but not made or removed, such as devices.
    writable : iterable of str
        Those where anything may be done.

    Raises
    ------
    OSError
        The kernel has no Landlock, or refuses.
    """
    version = _landlock_version()
    # A kernel refuses rights that it does not know. A field that it does not know it takes with 0.
    every = _EVERY & ~(_REFER if version < 2 else 0) & ~(_TRUNCATE if version < 3 else 0)
    handled = (every, _TCP if version >= 4 else 0, _OUTSIDE if version >= 6 else 0)
    attributes = (ctypes.c_uint64 * len(handled))(*handled)
    rules = _libc.syscall(_CREATE_RULESET, attributes, ctypes.sizeof(attributes), 0)
    _check(rules < 0, "landlock_create_ruleset")
    try:
        of_file = _READ | _WRITE_FILE | _TRUNCATE
        for paths, access in ((readable, _READ), (usable, of_file | _READ_DIR), (writable, every)):
            for path in paths:
                _allow(rules, path, access & every, of_file & every)
        _check(_libc.syscall(_RESTRICT_SELF, rules, 0), "landlock_restrict_self")
    finally:
        os.close(rules)


def _allow(rules: int, path: str, access: int, of_file: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):  # or the kernel refuses the rule
            access &= of_file & ~_READ_DIR
        beneath = _Beneath(access, opened)
        result = _libc.syscall(_ADD_RULE, rules, 1, ctypes.byref(beneath), 0)
        _check(result, "landlock_add_rule")
    finally:
        os.close(opened)


class _Beneath(ctypes.Structure):
    """What may be done below an open path, as the kernel takes it."""

    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("path", ctypes.c_int32))


def _landlock_version() -> int:
    return int(_libc.syscall(_CREATE_RULESET, None, 0, 1))


def _prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, value, 0, 0, 0), "prctl")


def _check(result: int, call: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
