"""What a study is called, what it asks, and who asks: the top of its report.

The model says it. What it leaves open, the ``pyproject.toml`` of the app says: ``title``,
``description`` and ``authors`` of ``[tool.flwr.app]``, else the last two of ``[project]``.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from flame_flwr.errors import ModelError
from flame_flwr.text.shown_text import one_line
from flame_flwr.text.textfiles import read_toml

__all__ = ["Heading"]

_LONGEST_TITLE, _LONGEST_TEXT, _LONGEST_NAME = 300, 5000, 200
_MOST_AUTHORS = 100
_FOLDERS = 4
"""Folders above a module in which an app's ``pyproject.toml`` is looked for."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Title, question and authors of a study; empty where nobody has said them.

    Attributes
    ----------
    title : str
        One line.
    description : str
        The question that the study asks; empty lines part paragraphs.
    authors : tuple of str
        Their names, each as it is to be read.
    """

    title: str = ""
    description: str = ""
    authors: tuple[str, ...] = ()

    @classmethod
    def declare(cls, title: object, description: object, authors: object) -> Self:
        """Return the heading that a model declares.

        Raises
        ------
        ModelError
            One of them is no such text, or too long for the top of a page.

        Examples
        --------
        >>> Heading.declare("Stay by treatment", "How long do patients stay?", "A. Weber").authors
        ('A. Weber',)
        """
        for name, text, most in (
            ("title", title, _LONGEST_TITLE),
            ("description", description, _LONGEST_TEXT),
        ):
            if not isinstance(text, str) or len(text) > most:
                raise ModelError(f"{name} must be a text of at most {most} characters")
        named = [authors] if isinstance(authors, str) and authors else authors or []
        if (
            not isinstance(named, Sequence)
            or len(named) > _MOST_AUTHORS
            or not all(map(_is_name, named))
        ):
            raise ModelError(
                f"authors must be a name or a list of at most {_MOST_AUTHORS} names, such as "
                "['A. Weber', 'B. Okafor'], each a text of at most "
                f"{_LONGEST_NAME} characters"
            )
        return cls(one_line(title, _LONGEST_TITLE), str(description).strip(), tuple(named))

    def completed(self, analyzer: type[Any]) -> Self:
        """Return the heading with what it leaves open taken from the app.

        Parameters
        ----------
        analyzer : type
            A class of the app: on a deployment Flower says where the app is, in this process the
            folders above its module are looked at.
        """
        if self.title and self.description and self.authors:
            return self
        from flame_flwr.running_app import app_folder  # declaring an analysis imports no Flower

        folder = app_folder() or _folder_of(analyzer)
        said = _said(folder) if folder is not None else Heading()
        return replace(
            self,
            title=self.title or said.title,
            description=self.description or said.description,
            authors=self.authors or said.authors,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as ``run.json`` has it."""
        return {
            "title": self.title,
            "description": self.description,
            "authors": list(self.authors),
        }


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isprintable()


def _folder_of(analyzer: type[Any]) -> Path | None:
    """Return the folder of the app that a class is of; ``None`` where it is of none."""
    try:
        module = Path(inspect.getfile(analyzer)).absolute()
    except (OSError, TypeError):  # a class of a prompt or a notebook has no file
        return None
    for folder in list(module.parents)[:_FOLDERS]:
        if _app(folder):
            return folder
    return None


def _said(folder: Path) -> Heading:
    """Return the heading in an app's ``pyproject.toml``; what is no text there is left out."""
    app, project = _app(folder), _table(_tables(folder), "project")
    title = app.get("title")
    text = app.get("description") or project.get("description")
    listed = app.get("authors") or project.get("authors")
    named = [each.get("name") if isinstance(each, dict) else each for each in _as_list(listed)]
    return Heading(
        one_line(title, _LONGEST_TITLE) if isinstance(title, str) else "",
        text.strip()[:_LONGEST_TEXT] if isinstance(text, str) else "",
        tuple(str(name) for name in named[:_MOST_AUTHORS] if _is_name(name)),
    )


def _app(folder: Path) -> dict[str, Any]:
    return _table(_table(_table(_tables(folder), "tool"), "flwr"), "app")


@lru_cache(maxsize=32)
def _tables(folder: Path) -> dict[str, Any]:
    try:
        return read_toml(folder / "pyproject.toml")
    except (OSError, ValueError):  # another part of the program says what is wrong with it
        return {}


def _table(tables: dict[str, Any], name: str) -> dict[str, Any]:
    found = tables.get(name)
    return found if isinstance(found, dict) else {}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
