"""What a user's desktop has, where there is one: a browser to show pages, a folder for caches."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_folder", "has_desktop"]


def has_desktop() -> bool:
    """Tell whether a browser can show something here: over SSH, say, there is no screen."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def cache_folder() -> Path:
    """Return this user's folder for files that can be made again; it need not be there yet.

    As freedesktop.org's base directory specification has it.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    # a relative path is to be ignored
    folder = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
    return folder / "flame-flwr"
