"""Who takes part in a federation, and where things are at each party."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flame_flwr.errors import ConfigError
from flame_flwr.wheel import Wheel

__all__ = ["Federation", "Hospital", "Server"]


@dataclass(frozen=True, slots=True)
class Server:
    """The server's part. ``names`` are all names and addresses of its certificate, in order."""

    host: str
    port: int
    names: tuple[str, ...]
    listen: str
    folder: str
    home: str
    results: str

    @property
    def address(self) -> str:
        """What hospitals and analyst connect to, ``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def local_address(self) -> str:
        """What programs on the server's own host connect to, ``host:port``."""
        own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.listen, self.listen)  # noqa: S104
        return f"[{own}]:{self.port}" if ":" in own else f"{own}:{self.port}"


@dataclass(frozen=True, slots=True)
class Hospital:
    """A hospital's part.

    ``node_config`` is what its ``node.toml`` will hold beside its name; ``public_key`` is the
    file with a key of the hospital's own, or ``None``.
    """

    name: str
    port: int
    folder: str
    home: str
    public_key: Path | None
    node_config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Federation:
    """A checked ``FEDERATION.toml``, and the wheel that every party installs.

    Without one, the pages name the wheel of the flame-flwr that is installed here.
    """

    name: str
    days: int
    user: str
    venv: str
    server: Server
    hospitals: tuple[Hospital, ...]
    wheel: Wheel | None = None

    def hospital(self, name: str) -> Hospital:
        """Return a hospital by its name.

        Raises
        ------
        ConfigError
            There is none of this name.
        """
        for hospital in self.hospitals:
            if hospital.name == name:
                return hospital
        known = ", ".join(hospital.name for hospital in self.hospitals)
        raise ConfigError(
            f"there is no hospital {name!r} in the file, which has {known}: add a [[hospitals]] "
            "entry for it first"
        )
