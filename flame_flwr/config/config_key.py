"""One key of a config or of a TOML file: how it is declared, and how a value of it is checked.

The run config, the node config, ``FEDERATION.toml`` and ``datasets.toml`` are all checked here.
"""

from __future__ import annotations

import builtins
import math
import os
from dataclasses import dataclass, field, fields
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from flame_flwr.errors import ConfigError
from flame_flwr.object_store import check_url, is_url
from flame_flwr.text.suggestions import nearest_or_known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "REQUIRED",
    "SWITCH",
    "ConfigKey",
    "Side",
    "check_extra",
    "check_keys",
    "check_max_rounds",
    "check_results",
    "key",
    "keys_of",
    "read_config",
    "read_once",
]

_Read = TypeVar("_Read", bound="Callable[..., Any]")

SWITCH = ("auto", "on", "off")
"""What may be said of what an extra writes."""

Side = Literal["server", "node", "both"]
"""Who reads a key: the ServerApp, the nodes, or both."""

REQUIRED: Any = ...
"""The default of a key that must be given."""

_KEY = "flame_flwr.key"

_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """One configuration key.

    Parameters
    ----------
    type : type or tuple of types
        What a value may be.
    default : Any
        The value where the key is not given; :data:`REQUIRED` where it must be.
    doc : str
        What it is for, one line: ``docs/reference/config.md`` is made of these. Empty for a key of
        a file that has a page of its own.
    side : {'server', 'node', 'both'}
        Who reads it.
    choices : tuple of str
        The texts that it may be; empty where any may.
    is_path : bool
        It must be an absolute path, where it is given.
    is_positive : bool
        It must be a finite number above 0.
    may_be_digits : bool
        A text that may be digits alone: without quotes, Flower makes a number of project-id=2024.
    """

    type: type | tuple[type, ...]
    default: Any = REQUIRED
    doc: str = ""
    side: Side = "server"
    choices: tuple[str, ...] = ()
    is_path: bool = False
    is_positive: bool = False
    may_be_digits: bool = False

    @property
    def kinds(self) -> tuple[builtins.type, ...]:
        """The types that a value may have."""
        return self.type if isinstance(self.type, tuple) else (self.type,)

    def read(self, value: Any, what: str, *, is_private: bool = False) -> Any:
        """Return a value as its attribute holds it.

        Parameters
        ----------
        value : Any
            As it was given.
        what : str
            Names the key in messages.
        is_private : bool
            Keep the value out of the message, which may leave a node.

        Raises
        ------
        ConfigError
            The value cannot be.
        """
        if self.may_be_digits and type(value) is int:  # a bool is an int, and no id
            return str(value)
        # to Python, True is an int
        fits = isinstance(value, self.type) and (bool in self.kinds or not isinstance(value, bool))
        if not fits:
            # where a number may have a fraction, nobody need hear of whole ones
            kinds = [kind for kind in self.kinds if kind is not int or float not in self.kinds]
            expected = " or ".join(_WORDS[kind] for kind in kinds)
            raise ConfigError(
                f"{what} must be {expected}, not {type(value).__name__}", detail=repr(value)
            )
        if self.choices and value not in self.choices:
            raise _wrong(f"{what} is {_alternatives(self.choices)}", value, is_private)
        if self.is_positive and not 0 < value < math.inf:
            raise _wrong(f"{what} must be a finite number above 0", value, is_private)
        if self.is_path and value and not os.path.isabs(value):
            raise ConfigError(
                f"{what} must be an absolute path, because Flower's processes have "
                "working directories of their own",
                detail=value,
            )
        return value


def _wrong(rule: str, value: Any, is_private: bool) -> ConfigError:
    if is_private:
        return ConfigError(rule, detail=str(value))
    shown = f'"{value}"' if isinstance(value, str) else value
    return ConfigError(f"{rule}, not {shown}")


def key(
    kind: type | tuple[type, ...], default: Any, doc: str, *, unset: Any = ..., **more: Any
) -> Any:
    """Declare a field that a key is read into; `unset` is its value where that is no default."""
    about = ConfigKey(kind, default, doc, **more)
    return field(default=default if unset is ... else unset, metadata={_KEY: about})


def keys_of(settings: type[Any]) -> dict[str, ConfigKey]:
    """Return the keys that a dataclass's fields declare with :func:`key`, by name."""
    declared = [each for each in fields(settings) if _KEY in each.metadata]
    return {each.name.replace("_", "-"): each.metadata[_KEY] for each in declared}


def read_config(
    config: Mapping[str, Any], keys: Mapping[str, ConfigKey], where: str
) -> dict[str, Any]:
    """Return the attributes that a config's keys are read into.

    Raises
    ------
    ConfigError
        A key is unknown, or its value cannot be.
    """
    own = {name: value for name, value in config.items() if "." not in name}  # no app's own table
    values = check_keys(own, keys, f"in {where}")
    return {name.replace("-", "_"): value for name, value in values.items()}


def read_once(read: _Read) -> _Read:
    """Keep what the last configs were read into: every message brings the same one.

    A simulation's nodes have one each, and may all be in one process.
    """

    @lru_cache(maxsize=4096)
    def kept(cls: type, items: tuple[tuple[str, Any], ...], types: tuple[type, ...]) -> Any:
        return read(cls, dict(items))

    @wraps(read)
    def wrapper(cls: type, config: Mapping[str, Any]) -> Any:
        items = tuple(config.items())
        try:
            # With the types, as 1 is equal to 1.0 and to True.
            return kept(cls, items, tuple(type(value) for _, value in items))
        except TypeError:  # a list, which no key may be
            return read(cls, config)

    return cast("_Read", wrapper)


def check_keys(
    given: Mapping[str, Any], keys: Mapping[str, ConfigKey], where: str, *, is_private: bool = False
) -> dict[str, Any]:
    """Return the values that keys are given, each checked by itself.

    Parameters
    ----------
    given : mapping
        What was read, by key.
    keys : mapping
        What there may be.
    where : str
        As messages say it: ``"in the run config"``.
    is_private : bool
        Keep unknown keys and wrong values out of messages, which may leave a node.

    Raises
    ------
    ConfigError
        A key is unknown or missing, or its value cannot be.

    Examples
    --------
    >>> check_keys({"port": 8000}, {"port": ConfigKey(int, 9094)}, "in [server]")
    {'port': 8000}
    """
    values = {}
    for name, value in given.items():
        # Refused and not ignored: a mistyped `disclosure` would leave a hospital without its rules.
        if name not in keys:
            named, detail = ("", name) if is_private else (f" `{name}`", None)
            known = nearest_or_known(name, keys)
            raise ConfigError(f"unknown key{named} {where}; {known}", detail=detail)
        values[name] = keys[name].read(value, f"`{name}` {where}", is_private=is_private)
    for name, about in keys.items():
        if about.default is REQUIRED and name not in given:
            raise ConfigError(f"`{name}` is missing {where}")
    return values


# ---- checks of what Python code names, where no config does ------------------------------------


def check_max_rounds(max_rounds: Any) -> None:
    """Check `max_rounds` as Python code names it.

    Raises
    ------
    ConfigError
        It is no ``int`` above 0.
    """
    if isinstance(max_rounds, bool) or not isinstance(max_rounds, int):
        raise ConfigError(f"max_rounds must be int, not {type(max_rounds).__name__}")
    if max_rounds < 1:
        raise ConfigError(f"max_rounds must be at least 1, not {max_rounds}")


def check_extra(asked: Any, where: str) -> None:
    """Check what is said of a report or of events: ``"auto"``, ``"on"`` or ``"off"``.

    Raises
    ------
    ConfigError
        It is something else.
    """
    if asked not in SWITCH:
        raise ConfigError(f"{where} is {_alternatives(SWITCH)}, not {asked!r}")


def check_results(results: str) -> None:
    """Check `results` of the run config: an absolute path, an ``s3://`` URL, or empty.

    Raises
    ------
    ConfigError
        It is something else, or a URL with a password in it, which is then not in the message.
    """
    if is_url(results):
        check_url(results, "`results` in the run config")
    elif results and not os.path.isabs(os.path.expanduser(results)):
        raise ConfigError(
            f"`results` in the run config must be an absolute path or an s3:// URL, not {results}: "
            "Flower's processes have working directories of their own"
        )


def _alternatives(choices: tuple[str, ...]) -> str:
    *first, last = (f'"{choice}"' for choice in choices)
    return f"{', '.join(first)} or {last}"
