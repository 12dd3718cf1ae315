"""``flame-flwr node start``: Flower's SuperNode, with its messages answered by forked processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["start"]

_PR_SET_DUMPABLE = 4
_INSTALLS = "--allow-runtime-dependency-installation"


def start(options: Sequence[str], preload: Sequence[str] = (), *, stock: bool = False) -> None:
    """Run a hospital's node until it ends.

    Parameters
    ----------
    options : sequence of str
        Those of ``flower-supernode``.
    preload : sequence of str
        Modules that apps need, imported once and not in every message.
    stock : bool
        Whether Flower's own program is run, as it is where the installed Flower is not known.
    """
    if why := _reason_for_stock(options, stock):
        logger.warning("%s: Flower's own SuperNode is run, with rounds of about five seconds", why)
        _run_stock(options)
    import ctypes

    from flame_flwr.node.message_host import MessageHost

    # The fork server first: nothing secret has been read yet, and no thread has been started.
    host = MessageHost(preload)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)  # an app has the same user, and may not read keys
    from flame_flwr.flower_node import run_supernode

    try:
        run_supernode(host.answer, options)
    finally:
        host.close()


def _reason_for_stock(options: Sequence[str], stock: bool) -> str:
    if stock:
        return "--stock"
    if sys.platform != "linux":
        return f"{sys.platform} has not what forked messages need"
    if _INSTALLS in options:
        return f"{_INSTALLS} needs a new process for every message"
    from flame_flwr.flower_node import unknown_parts

    changed = unknown_parts()
    return f"this Flower differs from the known ones in {', '.join(changed)}" if changed else ""


def _run_stock(options: Sequence[str]) -> NoReturn:
    program = Path(sys.executable).with_name("flower-supernode")
    os.execv(program, [str(program), *options])  # noqa: S606  (of this Python)
