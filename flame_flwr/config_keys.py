"""One configuration key: how it is declared, and how a value of it is checked."""

from __future__ import annotations

import builtins
import math
import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from flame_flwr.errors import ConfigError
from flame_flwr.object_store import check_url, is_url
from flame_flwr.suggestions import nearest_or_known

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "SWITCH",
    "ConfigKey",
    "Side",
    "check_extra",
    "check_max_rounds",
    "check_results",
    "key",
    "keys_of",
    "read_config",
]

SWITCH = ("auto", "on", "off")
"""What may be said of what an extra writes."""

Side = Literal["server", "node", "both"]
"""Who reads a key: the ServerApp, the nodes, or both."""

_KEY = "flame_flwr.key"


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """One configuration key.

    Parameters
    ----------
    type : type or tuple of types
        What a value may be.
    default : Any
        The value where the key is not given.
    doc : str
        What it is for, one line: the README's table is made of these.
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
    default: Any
    doc: str
    side: Side = "server"
    choices: tuple[str, ...] = ()
    is_path: bool = False
    is_positive: bool = False
    may_be_digits: bool = False

    @property
    def kinds(self) -> tuple[builtins.type, ...]:
        """The types that a value may have."""
        return self.type if isinstance(self.type, tuple) else (self.type,)

    def read(self, value: Any, what: str) -> Any:
        """Return a value as its attribute holds it; `what` names the key in messages.

        Raises
        ------
        ConfigError
            The value cannot be.
        """
        fits = isinstance(value, self.type) and (self.type is bool or not isinstance(value, bool))
        if self.may_be_digits and type(value) is int:
            return str(value)
        if not fits:
            expected = " or ".join(kind.__name__ for kind in self.kinds)
            raise ConfigError(
                f"{what} must be {expected}, not {type(value).__name__}", detail=repr(value)
            )
        if self.choices and value not in self.choices:
            raise ConfigError(f'{what} is {_alternatives(self.choices)}, not "{value}"')
        if self.is_positive and not 0 < value < math.inf:
            raise ConfigError(f"{what} must be a finite number above 0, not {value}")
        if self.is_path and value and not os.path.isabs(value):
            raise ConfigError(
                f"{what} must be an absolute path, because Flower's processes have "
                "working directories of their own",
                detail=value,
            )
        return value


def key(
    kind: type | tuple[type, ...], default: Any, doc: str, *, unset: Any = ..., **more: Any
) -> Any:
    """Declare a field that a key is read into; `unset` is its value where that is no default."""
    about = ConfigKey(kind, default, doc, **more)
    return field(default=default if unset is ... else unset, metadata={_KEY: about})


def keys_of(settings: type[Any]) -> dict[str, ConfigKey]:
    """Return the keys that a dataclass's fields declare with :func:`key`, by name."""
    return {each.name.replace("_", "-"): each.metadata[_KEY] for each in fields(settings)}


def read_config(
    config: Mapping[str, Any], keys: Mapping[str, ConfigKey], where: str
) -> dict[str, Any]:
    """Return the attributes that a config's keys are read into.

    Raises
    ------
    ConfigError
        A key is unknown, or its value cannot be.
    """
    values = {}
    for name, value in config.items():
        if "." in name:  # of a table of the app's own
            continue
        if name not in keys:
            raise ConfigError(f"unknown key `{name}` in {where}; {nearest_or_known(name, keys)}")
        values[name.replace("-", "_")] = keys[name].read(value, f"`{name}` in {where}")
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
