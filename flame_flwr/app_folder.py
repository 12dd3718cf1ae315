"""A Flower app's folder: what its ``pyproject.toml`` says, and overrides of its run config.

It is checked before anything is submitted: a wrong key or value is named here, while Flower only
says that the run configuration is invalid. Nothing is run.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.config import RUN_KEYS
from flame_flwr.errors import ConfigError
from flame_flwr.text.suggestions import nearest
from flame_flwr.text.textfiles import flat, read_settings, read_toml, toml_key, toml_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["App", "Value", "as_options", "as_toml"]

Value = str | int | float | bool
"""What a run config holds."""

_QUOTED = r""""(?:[^"\\]|\\.)*"|'[^']*'"""
_KEY = rf"[\w.-]+|{_QUOTED}"
_PAIR = re.compile(rf"\s*({_KEY})=({_QUOTED}|\S+)(?=\s|$)", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9][0-9_]*")
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_LIMIT = 2**63
"""What TOML, and Flower's messages, hold of a whole number."""


@dataclass(frozen=True, slots=True)
class App:
    """An app's folder, and its run config as it stands there.

    Parameters
    ----------
    folder : Path
        The folder; of an app that is to be fetched, ``@account/app``.
    config : dict of str to Value, or None
        ``[tool.flwr.app.config]``, flat, with dots for tables; ``None`` where it is not known.
    about : dict
        ``[tool.flwr]``, whole.
    """

    folder: Path
    config: Mapping[str, Any] | None
    about: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path | str) -> App:
        """Read an app's ``pyproject.toml``.

        Raises
        ------
        ConfigError
            There is no such folder, or it holds no Flower app; the message says what is missing.
        """
        folder = Path(folder).expanduser()
        if str(folder).startswith("@"):
            return cls(folder, None, {})
        if folder.is_file():
            raise ConfigError(
                f"{folder} is a file, and an app is a folder with a pyproject.toml: a FLAME script "
                f"is run with `flame-flwr run {folder}`"
            )
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}")
        path = folder / "pyproject.toml"
        if not path.is_file():
            raise ConfigError(
                f"{folder} is no Flower app: its pyproject.toml is missing (`flame-flwr new` "
                "writes one)"
            )
        about = _table(_table(read_settings(path, by_flower=True), "tool"), "flwr")
        app = _table(about, "app")
        if "clientapp" not in _table(app, "components"):
            raise ConfigError(
                f"{folder} is no Flower app: its pyproject.toml names no clientapp "
                "under [tool.flwr.app.components]"
            )
        return cls(folder, flat(_table(app, "config")), about)

    def overrides(self, texts: Iterable[str]) -> dict[str, Value]:
        """Return what a command line overrides, checked, with the types that the keys have.

        Parameters
        ----------
        texts : iterable of str
            Each ``KEY=VALUE``, several of these with spaces between where their texts are in
            quotes, as Flower has it, or the path of a TOML file.

        Raises
        ------
        ConfigError
            A key that the app does not have, a value of another type, or no pair at all.
        """
        found: dict[str, Value] = {}
        for text in texts:
            if "=" not in text and text.endswith(".toml"):
                found |= self.checked(_file(Path(text).expanduser()))
            else:
                found |= {key: self._typed(key, value) for key, value in self._pairs(text)}
        return found

    def checked(self, given: Mapping[str, Any]) -> dict[str, Value]:
        """Return overrides that have types already, such as those of Python code or of TOML.

        A whole number or a date becomes the text that it is where the key holds a text.

        Raises
        ------
        ConfigError
            As for :meth:`overrides`.
        """
        return {key: self._fitting(key, value) for key, value in given.items()}

    def merged(self, overrides: Mapping[str, Value]) -> dict[str, Any]:
        """Return the whole run config."""
        return {**(self.config or {}), **overrides}

    def _pairs(self, text: str) -> Iterator[tuple[str, str]]:
        key, found, value = text.partition("=")
        if not found:
            raise ConfigError(f"--run-config takes KEY=VALUE or a .toml file, not {text!r}")
        # Flower takes several pairs in one text; a value of one's own may look like two.
        several = list(_PAIR.finditer(text))
        if len(several) > 1 and self._are_meant(text, several):
            for pair in several:
                yield _plain(pair[1]), pair[2]
        elif key != key.rstrip():
            yield _plain(key.strip()), value.strip()
        else:
            yield _plain(key.strip()), value

    def _are_meant(self, text: str, pairs: list[re.Match[str]]) -> bool:
        """Tell several pairs from one whose text has spaces and ``=`` in it."""
        if "".join(pair[0] for pair in pairs).strip() != text.strip():
            return False
        names = [_plain(pair[1]) for pair in pairs]
        if self.config is not None and all(name in self.config for name in names):
            return True
        in_quotes = pairs[0][2][0] in "\"'"
        return all(_toml(pair[2]) for pair in pairs) and (
            in_quotes or str not in self._types(names[0])
        )

    def _types(self, key: str) -> tuple[type, ...]:
        """Return what a key's value may be, or refuse the key."""
        if self.config is None:
            return ()
        if key not in self.config:
            raise ConfigError(_unknown(key, self.config))
        default = type(self.config[key])
        if key not in RUN_KEYS:
            # An app writes alpha = 1 and means any number: it may become 0.5.
            return (int, float) if default is int else (default,)
        kinds = RUN_KEYS[key].kinds
        return kinds if default in kinds else (*kinds, default)

    def _typed(self, key: str, text: str) -> Value:
        """Return the value that a text of the command line stands for."""
        kinds = self._types(key)
        inner = _unquoted(text)
        plain = text if inner is None else inner
        if not kinds:
            return _guessed(text) if inner is None else inner
        if str in kinds and (inner is not None or not _WHOLE.fullmatch(text) or int not in kinds):
            return plain
        word = plain.strip()
        if bool in kinds and word.lower() in ("true", "false"):
            return word.lower() == "true"
        value = _number(word) if int in kinds or float in kinds else None
        if isinstance(value, int) and int not in kinds:
            value = float(value)
        if value is None or type(value) not in kinds:
            raise ConfigError(f"`{key}` in --run-config must be {_words(kinds)}, not {text!r}")
        return _bounded(key, value)

    def _fitting(self, key: str, value: Any) -> Value:
        kinds = self._types(key)
        if isinstance(value, str | float):  # NumPy's too
            value = str(value) if isinstance(value, str) else float(value)
        elif isinstance(value, Integral) and not isinstance(value, bool):
            value = int(value)
        plain = isinstance(value, str | int | float)
        if plain and (not kinds or type(value) in kinds):
            return _bounded(key, value)
        if str in kinds and isinstance(value, int | datetime.date) and not isinstance(value, bool):
            return str(value)
        if float in kinds and type(value) is int:
            return float(value)
        expected = _words(kinds or (str, float, bool))
        hint = ": put it in quotes" if str in kinds and plain else ""
        raise ConfigError(
            f"`{key}` in the run config must be {expected}, not {type(value).__name__}{hint}",
            detail=repr(value),
        )


def as_toml(config: Mapping[str, Value]) -> str:
    """Write a flat run config as TOML."""
    return "".join(f"{toml_key(key)} = {toml_value(value)}\n" for key, value in config.items())


def as_options(overrides: Mapping[str, Value], folder: str) -> list[str]:
    """Return the options of ``flwr run``: a file, for its ``KEY=VALUE`` cannot say every text."""
    if not overrides:
        return []
    file = Path(folder, "run-config.toml")
    file.write_text(as_toml(overrides), encoding="utf-8")
    return ["--run-config", str(file)]


def _table(tables: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = tables.get(name)
    return found if isinstance(found, dict) else {}


def _file(path: Path) -> dict[str, Any]:
    try:
        return flat(read_toml(path))
    except OSError as error:
        raise ConfigError(f"--run-config {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"--run-config {path} is no TOML file: {error}") from error


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    last = {name.rpartition(".")[2]: name for name in known}  # without its table's name
    meant = {**{name: name for name in RUN_KEYS}, **last, **{name: name for name in known}}
    near = nearest(key, meant)
    said = f"there is no `{key}` in the app's run config, [tool.flwr.app.config] of pyproject.toml"
    if not near:
        return f"{said}, which has {', '.join(known) or 'nothing'}"
    name = meant[near]
    question = "" if name == key else f"; did you mean `{name}`?"
    if name in known:
        return f"{said}{question}"
    example = f"{name} = {toml_value(RUN_KEYS[name].default)}"
    return f"{said}{question or '.'} Flower takes no key that is not there: add `{example}`"


def _toml(text: str) -> bool:
    try:
        return len(tomllib.loads(f"value = {text}")) == 1
    except tomllib.TOMLDecodeError:
        return False


def _unquoted(text: str) -> str | None:
    """Return what stands in quotes; ``None`` where it is not, as a whole, one text in quotes."""
    word = text.strip()
    if word[:1] in ('"', "'") and word[-1:] == word[:1] and len(word) > 1:
        try:
            found = tomllib.loads(f"value = {word}")
        except tomllib.TOMLDecodeError:
            return None
        if len(found) == 1 and isinstance(found["value"], str):
            return found["value"]
    return None


def _plain(key: str) -> str:
    inner = _unquoted(key)
    return key if inner is None else inner


def _number(word: str) -> int | float | None:
    for kind in (int, float):
        try:
            # Python reads the digits of every script, TOML those of ASCII.
            return kind(word) if word.isascii() else None
        except ValueError:
            continue
    return None


def _guessed(text: str) -> Value:
    """Return a value whose type nothing here says."""
    number = _number(text)
    return {"true": True, "false": False}.get(text, text) if number is None else number


def _bounded(key: str, value: Value) -> Value:
    if isinstance(value, int) and not -_LIMIT <= value < _LIMIT:
        raise ConfigError(f"`{key}` in the run config must fit into 64 bits", detail=str(value))
    return value


def _words(kinds: tuple[type, ...]) -> str:
    shown = [kind for kind in kinds if not (kind is int and float in kinds)]
    return " or ".join(_WORDS.get(kind, kind.__name__) for kind in shown)
