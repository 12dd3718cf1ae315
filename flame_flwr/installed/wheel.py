"""The wheel of the flame-flwr that runs here, however it was installed: the same bytes each time.

For handing one version to every party of a federation, with a checksum. What the package needs of
others is not in it.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path

from flame_flwr.errors import ConfigError
from flame_flwr.files import read_file

__all__ = ["Wheel", "installed_wheel", "read_wheel"]

_MANUAL = ("*.md", "reference/*.md", "pictures/*.svg")
_NAME = re.compile(r"flame_flwr-([0-9][0-9A-Za-z.!+]*)-py3-none-any\.whl")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of flame-flwr: the file's name, the version in it, and its content."""

    name: str
    version: str
    content: bytes

    @property
    def sha256(self) -> str:
        """The file's SHA-256, as ``sha256sum`` prints it."""
        return hashlib.sha256(self.content).hexdigest()


def read_wheel(path: Path) -> Wheel:
    """Read a wheel of flame-flwr.

    Raises
    ------
    ConfigError
        The file cannot be read, or has not the name of one.
    """
    found = _NAME.fullmatch(path.name)
    if not found:
        raise ConfigError(
            f"{path} is not a wheel of flame-flwr: its name must be as `pip wheel` gives it, "
            "such as flame_flwr-1.0.0-py3-none-any.whl"
        )
    content = read_file(path)
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ConfigError(f"{path} is not a wheel: it is not a zip file, or was cut")
    return Wheel(path.name, found.group(1), content)


@lru_cache(maxsize=1)
def installed_wheel() -> Wheel:
    """Make the wheel of what is installed here, also from a folder of its source.

    Raises
    ------
    ConfigError
        flame-flwr runs here without having been installed.
    """
    about = _distribution()
    version = about.version
    info = f"flame_flwr-{version}.dist-info"
    files = _modules()
    for name in ("METADATA", "entry_points.txt", "licenses/LICENSE"):
        text = about.read_text(name)
        if text is not None:
            files[f"{info}/{name}"] = text.encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: flame-flwr\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    lines = [f"{name},{_record(files[name])}\n" for name in sorted(files)]
    files[f"{info}/RECORD"] = f"{''.join(lines)}{info}/RECORD,,\n".encode()
    return Wheel(f"flame_flwr-{version}-py3-none-any.whl", version, _zipped(files))


def _distribution() -> Distribution:
    for found in distributions(name="flame-flwr"):
        if found.read_text("METADATA") is not None:  # not the notes of a build in a source folder
            return found
    raise ConfigError(
        "flame-flwr is not installed in this Python, so its wheel cannot be made: name one with "
        "--wheel"
    )


def _modules() -> dict[str, bytes]:
    """Return every file of the package by its path in a wheel."""
    files = {}
    for package in ("flame_flwr", "flame_flwr.clients", "flame_flwr.strategies"):
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            for path in Path(folder).rglob("*"):
                within = path.relative_to(folder)
                hidden = any(part.startswith((".", "__pycache__")) for part in within.parts)
                if path.is_file() and not hidden:
                    name = f"{package.replace('.', '/')}/{within.as_posix()}"
                    files[name] = path.read_bytes()
    manual = Path(__file__).parents[1] / "docs"  # in a checkout a link, which rglob does not follow
    for pattern in _MANUAL:
        for path in manual.glob(pattern):
            files[f"flame_flwr/docs/{path.relative_to(manual).as_posix()}"] = path.read_bytes()
    return files


def _zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip file of these, not compressed: zlib's output differs from system to system."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)  # of 1980: a time would make the bytes differ
            # as if made on Unix, wherever this runs
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, files[name])
    return content.getvalue()


def _record(content: bytes) -> str:
    digest = urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"sha256={digest},{len(content)}"
