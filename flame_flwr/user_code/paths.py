"""Tell user code from files of this framework, of Python and of packages."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

__all__ = ["FRAMEWORK_CODE", "is_user_code"]

_PACKAGE = str(Path(__file__).resolve().parents[1])
_PATHS = sysconfig.get_paths()
FRAMEWORK_CODE = tuple(
    path + os.sep
    for path in (
        _PACKAGE,
        str(Path(_PACKAGE).with_name("clients")),
        str(Path(_PACKAGE).with_name("strategies")),
    )
)
_NOT_USER_CODE = (
    *FRAMEWORK_CODE,
    *(_PATHS[kind] + os.sep for kind in ("stdlib", "purelib", "platlib")),
    "<frozen ",  # modules of the standard library that Python has built in
)

_COMPILED = (".pyx", ".pxd", ".pxi")
"""Files of compiled packages, such as pandas, whose frames name no folder of theirs."""


def is_user_code(filename: str) -> bool:
    """Tell whether a file is not one of this framework, the standard library or a package."""
    return not filename.startswith(_NOT_USER_CODE) and not filename.endswith(_COMPILED)
