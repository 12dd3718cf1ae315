"""The app that runs in this process: its name, its folder and its files, as Flower unpacked it."""

from __future__ import annotations

import sys
from pathlib import Path

from flame_flwr.flower import apps_folder

__all__ = ["app_files", "app_folder", "app_name"]


def app_files() -> dict[str, bytes]:
    """Return the files of the app that runs, by path, but for byte code; none in process."""
    name = app_name()
    folder = apps_folder() / name
    if not name:
        return {}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }


def app_folder() -> Path | None:
    """Return the folder of the app that runs; ``None`` in process."""
    name = app_name()
    return apps_folder() / name if name else None


def app_name() -> str:
    """Return the folder's name of the app that runs: publisher, name, version, hash; or ``''``.

    It is the node's own knowledge: where this process has put the app that it was sent.
    """
    apps = apps_folder()
    for entry in map(Path, sys.path):  # Flower puts the app's folder there before it imports it
        if entry.parent == apps:
            return entry.name
    return ""
