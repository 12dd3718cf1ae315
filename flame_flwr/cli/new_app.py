"""``flame-flwr new``: write the folder of a Flower app that runs at once, from a template.

The templates are real apps under ``flame_flwr/app-templates``, called ``my_analysis``; this module
copies one under another name and completes its run config. It needs no network.
"""

from __future__ import annotations

import json
import keyword
import os
import re
import sys
import tempfile
import tomllib
from importlib.machinery import PathFinder
from pathlib import Path

from flame_flwr.config import RUN_KEYS
from flame_flwr.errors import ConfigError
from flame_flwr.installed.wheel import installed_wheel

__all__ = ["TEMPLATES", "create", "package_name"]

TEMPLATES = {
    "analysis": "one round over CSV files, a table as the result",
    "training": "logistic regression over several rounds, scored on held-out rows",
    "statistics": "mean, variance and a histogram, as files of several types",
    "regression": "a logistic regression with the numbers of all patients together",
    "table-one": "the first table of a paper, of all hospitals and of each",
}
"""Every template by its name: what its app does."""

_PLACEHOLDER = "my_analysis"
_FOLDER = Path(__file__).parents[1] / "app-templates"
_NOT_FOR_APPS = {"script"}
"""Run keys of an app that is made around a script."""
_LEFT_TO_THE_ANALYSIS = {"secure": True}
"""Run keys that say something with any value, and are named in a comment, with another value."""

_INSTALL = """
## What every party installs

flame-flwr {wheel.version}, the server and all hospitals the same: the file `{wheel.name}`, which
`flame-flwr provision` writes beside the parties' folders. The wheel of the flame-flwr that wrote
this app has the SHA-256

`{wheel.sha256}`

and `sha256sum {wheel.name}` prints what a hospital has.
"""

_TAKEN = {"flame", "flamesdk", "flwr", "flame_flwr", "test", "tests", "site", "main"}
"""Names that stand for something else, whether or not it is installed here."""


def create(name: str, template: str = "analysis", where: Path | None = None) -> Path:
    """Write a new app's folder, complete or not at all.

    Parameters
    ----------
    name : str
        The folder's name and that of the Python package in it, which has ``_`` for ``-``.
    template : str
        One of :data:`TEMPLATES`.
    where : Path, optional
        The folder to write it into; the working directory where it is not given.

    Returns
    -------
    Path
        The app's folder.

    Raises
    ------
    ConfigError
        There is no such template, the folder exists, or the name will not do; the message says
        why.
    """
    if template not in TEMPLATES:
        raise ConfigError(f"there is no template {template!r}; there are {', '.join(TEMPLATES)}")
    where = Path.cwd() if where is None else where
    package = package_name(name)
    check_name(package, where)
    target = where / name
    if os.path.lexists(target):
        raise ConfigError(f"{target} exists already: choose another name, or remove it")
    if not where.is_dir():
        raise ConfigError(f"there is no folder {where}")
    # beside the target: a folder is renamed whole within one file system only
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=where) as folder:
        made = Path(folder, name)
        _copy(_FOLDER / template, made, package)
        page = made / "README.md"
        page.write_text(page.read_text("utf-8") + _INSTALL.format(wheel=installed_wheel()), "utf-8")
        config = made / "pyproject.toml"
        config.write_text(complete_config(config.read_text("utf-8")), "utf-8")
        os.rename(made, target)
    return target


def package_name(name: str) -> str:
    """Return the name of the Python package in the folder of an app: ``_`` stands for ``-``."""
    return name.replace("-", "_")


def check_name(name: str, where: Path) -> None:
    """Refuse a name that an app and its package cannot have.

    Raises
    ------
    ConfigError
        It is no identifier, a word of Python's, or the name of a module that is installed.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name.endswith("_"):
        near = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_0123456789")
        hint = f", such as {near}" if near and not keyword.iskeyword(near) else ""
        raise ConfigError(
            f"{name!r} is no name for a Python package: use letters, digits and underscores, "
            f"beginning with a letter{hint}"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ConfigError(f"{name!r} is a word of the Python language: choose another name")
    owner = _owner(name, where)
    if owner:
        raise ConfigError(
            f"{name!r} is the name of {owner}, which the app would hide: choose another name"
        )


def complete_config(pyproject: str) -> str:
    """Add every run key that an app's ``pyproject.toml`` does not have, with its default.

    Flower refuses ``--run-config`` keys that are not there. What would say something with any value
    is there as a comment. The table with the run config is the last one of the file.
    """
    given = tomllib.loads(pyproject)["tool"]["flwr"]["app"]["config"]
    lines = []
    for key, about in RUN_KEYS.items():
        if key not in given and key not in _NOT_FOR_APPS:
            value = json.dumps(_LEFT_TO_THE_ANALYSIS.get(key, about.default))
            mark = "# " if key in _LEFT_TO_THE_ANALYSIS else ""
            lines += [f"# {about.doc}", f"{mark}{key} = {value}"]
    return pyproject.rstrip("\n") + "\n" + "".join(f"{line}\n" for line in lines)


def _copy(template: Path, target: Path, name: str) -> None:
    """Copy a template's files, with the app's name in place of the template's."""
    for source in sorted(template.rglob("*")):
        if "__pycache__" in source.parts or not source.is_file():
            continue
        relative = source.relative_to(template).as_posix().replace(_PLACEHOLDER, name)
        path = target / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text("utf-8")
        text = text.replace(_PLACEHOLDER.replace("_", "-"), name.replace("_", "-"))
        path.write_text(text.replace(_PLACEHOLDER, name), "utf-8")


def _owner(name: str, where: Path) -> str:
    """Say what a name belongs to already; '' where it is free. Case is no difference on some."""
    low = name.lower()
    if low in _TAKEN or low == _PLACEHOLDER:
        return "something of FLAME's, Flower's or Python's own" if low in _TAKEN else ""
    if low in {module.lower() for module in sys.stdlib_module_names}:
        return "a module of Python's standard library"
    here = {os.path.realpath(folder) for folder in (where, Path.cwd())}
    path = [entry for entry in sys.path if entry and os.path.realpath(entry) not in here]
    # Some file systems take no notice of case: `NumPy` would hide numpy there.
    for spelling in {name, low}:
        if PathFinder.find_spec(spelling, path) is not None:
            return "an installed module"
    return ""
