"""How classes and modules of the user's are named for other processes, and found there again."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from typing import Any

from flame_flwr.errors import ModelError

__all__ = ["Reference", "import_from"]


@dataclass(frozen=True, slots=True)
class Reference:
    """A class by the module and the name it is found under."""

    module: str
    name: str

    @classmethod
    def to(cls, value: Any) -> Any:
        """Return a reference to a class of a file; anything else as it is."""
        module = sys.modules.get(getattr(value, "__module__", ""))
        if not isinstance(value, type) or "<locals>" in value.__qualname__:
            return value
        if not os.path.isfile(getattr(module, "__file__", None) or ""):
            return value
        found: Any = module
        for part in value.__qualname__.split("."):
            found = getattr(found, part, None)
        return cls(value.__module__, value.__qualname__) if found is value else value

    def resolve(self) -> Any:
        """Return the class."""
        # a class of a package's, such as a strategy, may be imported by none of the user's files
        value: Any = sys.modules.get(_renamed(self.module)) or importlib.import_module(self.module)
        for part in self.name.split("."):
            value = getattr(value, part)
        return value


def import_from(name: str, file: str) -> None:
    """Import a module from the file that it had where the check was asked for."""
    try:
        spec = importlib.util.find_spec(name) if name != "__main__" else None
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.origin == file:
        importlib.import_module(name)
        return
    found = importlib.util.spec_from_file_location(_renamed(name), file)
    if found is None or found.loader is None:
        raise ModelError(f"the module {name} cannot be imported from {file}")
    module = importlib.util.module_from_spec(found)
    sys.modules[_renamed(name)] = module
    found.loader.exec_module(module)


def _renamed(module: str) -> str:
    """Return the name under which a module is imported: ``__main__`` must not run as a script."""
    return "__checked_main__" if module == "__main__" else module
