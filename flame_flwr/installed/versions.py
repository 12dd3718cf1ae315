"""Versions of other packages: which of Flower's were tried, and which change a node's answers.

Only version numbers are compared; nothing is imported to find them.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import warnings
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "NODE_APP",
    "RAY_WORKER",
    "TRIED",
    "differing",
    "installed",
    "moved",
    "program_is",
    "release",
    "untried",
    "warn_of_untried",
]

TRIED = ("1.41", "1.42")
"""The versions of Flower that this one of flame-flwr was tested with, the oldest first."""

RAY_WORKER = "default_worker.py"
"""The program of a Ray worker, in which a simulation's nodes run. What an app imports says less."""

NODE_APP = "flwr-clientapp"
"""The program in which a deployed node answers one message."""


class _Concern(NamedTuple):
    parts: int
    """How many parts of a version must be alike: 1, the major one; 2, the minor one as well."""
    why: str


_CONCERNS = {
    "numpy": _Concern(
        1, 'with payload="pickle", what NumPy 2 has written cannot be read by NumPy 1'
    ),
    "pandas": _Concern(1, "texts are `str` columns in pandas 3 and `object` columns before it"),
    "scikit-learn": _Concern(2, "an estimator works with the version that has fitted it"),
    "skops": _Concern(2, "an estimator that a newer skops has written may be refused"),
}
"""The packages whose versions change what a value that travels is, or whether it can be read."""


@functools.cache
def installed() -> Mapping[str, str]:
    """Return the installed versions of Flower and of the packages that change answers.

    Every node of a simulation says them, and to read them takes milliseconds.
    """
    found = {}
    for package in ("flwr", *_CONCERNS):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def differing(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    """Describe the versions that differ enough between two sides to matter, and why they do.

    Parameters
    ----------
    theirs, ours : mapping of str to str
        Versions by package, as :func:`installed` returns them. What one side does not have, or
        does not say, is not compared.

    Returns
    -------
    list of str
        A sentence's part per package: ``"pandas 2.2.3 (the server has 3.1.1: ...)"``.

    Examples
    --------
    >>> differing({"pandas": "2.2.3"}, {"pandas": "2.3.0"})
    []
    """
    return [
        f"{package} {theirs[package]} (the server has {ours[package]}: {concern.why})"
        for package, concern in _CONCERNS.items()
        if package in theirs
        and package in ours
        and release(theirs[package])[: concern.parts] != release(ours[package])[: concern.parts]
    ]


def release(text: str) -> tuple[int, ...]:
    """Return the major and minor part of a version.

    Examples
    --------
    >>> release("1.42.0rc1")
    (1, 42)
    """
    return tuple(int(part) for part in re.findall(r"[0-9]{1,40}", text[:100])[:2])


def untried(flower: str) -> str:
    """Return a warning about a version of Flower that was not tried; ``''`` for one that was.

    Parameters
    ----------
    flower : str
        The version that is installed.
    """
    if release(flower) in map(release, TRIED):
        return ""
    return (
        f"Flower (flwr) {flower} is installed, which this version of flame-flwr was not tried "
        f"with: it was with {' and '.join(TRIED)}. If something fails: {_INSTALL}"
    )


def warn_of_untried() -> None:
    """Warn about a Flower that was not tried, unless this process is a node's.

    A node has a process per message, and of those the server warns, once per run.
    """
    if program_is(NODE_APP, RAY_WORKER):
        return
    for package in ("flwr", "flwr-nightly"):
        with suppress(PackageNotFoundError):
            if text := untried(version(package)):
                warnings.warn(text, stacklevel=3)  # where the package is imported
            return


def program_is(*names: str) -> bool:
    """Tell whether this process runs a program of one of these names."""
    return any(os.path.basename(argument) in names for argument in sys.orig_argv)


def moved(flower: str) -> str:
    """Return the error text for a version of Flower that lacks what the framework needs."""
    return (
        f"Flower (flwr) {flower} has moved what flame-flwr needs of it, which was tried with "
        f"{' and '.join(TRIED)}: {_INSTALL}"
    )


_INSTALL = f"pip install 'flwr=={TRIED[-1]}.*'"
