"""A hospital's identity, which it makes itself, and those of the others, which it has pinned."""

from __future__ import annotations

import hashlib
import os
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flame_flwr.errors import ConfigError
from flame_flwr.privacy.secure.encoding import HELLO, PEERS, encode_fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["PRIVATE", "PUBLIC", "Identities", "SecretIdentity", "fingerprint", "is_signed"]

PRIVATE, PUBLIC = "private key of flame-flwr: ", "public half of a key of flame-flwr: "
"""What stands before a key in its file: both halves look alike, and only one may be sent."""

_KEY = 32


class SecretIdentity:
    """A hospital's own pair of keys, with which it signs the key of a session.

    Parameters
    ----------
    seed : bytes
        The private key, 32 bytes.

    Examples
    --------
    >>> identity = SecretIdentity.new()
    >>> len(identity.public)
    32
    """

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes_raw()

    @classmethod
    def new(cls) -> SecretIdentity:
        """Make one of this process alone, as a simulation does."""
        return cls(cls.new_seed())

    @staticmethod
    def new_seed() -> bytes:
        """Make a private key."""
        return os.urandom(_KEY)

    @classmethod
    def make(cls, path: Path) -> SecretIdentity:
        """Make one and write it into a file that only this user can read.

        Raises
        ------
        FileExistsError
            There is one: it is never replaced.
        OSError
            The file cannot be written.
        """
        seed = cls.new_seed()
        # O_EXCL: the other hospitals have pinned the one that is there.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(f"{PRIVATE}{seed.hex()}\n")
            file.flush()
            os.fsync(file.fileno())  # its public half is about to be given to others
        return cls(seed)

    @classmethod
    def load(cls, path: Path) -> SecretIdentity:
        """Read one from its file.

        Raises
        ------
        ConfigError
            There is none, others may read it, or it is damaged.
        """
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(handle) as file:
                # of the file that is read, not of what may have its name a moment later
                mode = os.fstat(file.fileno()).st_mode
                text = file.read(1024).strip().removeprefix(PRIVATE)  # earlier ones have none
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable("identity-key", path) from error
        if mode & 0o077:
            raise ConfigError(
                "identity-key may be read by others: `chmod 600` it", detail=str(path)
            )
        return cls(_key_of(text, "identity-key", path))

    def sign(self, session: str, name: str, key: bytes) -> bytes:
        """Return the signature of a session's public key."""
        return self._private.sign(encode_fields(HELLO, session, name, key))


@dataclass(frozen=True, slots=True)
class Identities:
    """The public keys of hospitals, by name.

    Parameters
    ----------
    keys : dict of str to bytes
        Each of 32 bytes.
    """

    keys: Mapping[str, bytes]

    @classmethod
    def load(cls, path: Path) -> Identities:
        """Read ``peers.toml``: a table ``[peers]`` of names and keys in hexadecimal digits.

        Raises
        ------
        ConfigError
            It is missing or damaged; two hospitals have one key.
        """
        try:
            table = tomllib.loads(path.read_text())["peers"]
            keys = {name: _key_of(text, name, path) for name, text in table.items()}
        except (OSError, ValueError, KeyError, AttributeError) as error:
            if isinstance(error, ConfigError):
                raise
            raise _unreadable("peers", path) from error
        if len(set(keys.values())) < len(keys):
            raise ConfigError("peers names one key twice: each hospital has its own")
        return cls(keys)

    def fingerprint(self) -> str:
        """Return what two hospitals compare by telephone: the same for the same names and keys."""
        fields: list[bytes | str | int] = [PEERS, len(self.keys)]
        for name in sorted(self.keys, key=str.encode):
            fields += [name, self.keys[name]]
        return _in_groups(hashlib.sha256(encode_fields(*fields)).hexdigest())


def fingerprint(public: bytes) -> str:
    """Return what people compare of one public key."""
    return _in_groups(hashlib.sha256(encode_fields(PEERS, 1, public)).hexdigest())


def _in_groups(digits: str) -> str:
    # 160 bits: short enough to be read out, and nobody finds a second key that has the same
    return " ".join(digits[start : start + 5] for start in range(0, 40, 5))


def is_signed(identity: bytes, signature: bytes, session: str, name: str, key: bytes) -> bool:
    """Tell whether an identity has signed a session's public key."""
    try:
        public = Ed25519PublicKey.from_public_bytes(identity)
        public.verify(signature, encode_fields(HELLO, session, name, key))
    except (InvalidSignature, ValueError):
        return False
    return True


def _key_of(text: object, name: str, path: Path) -> bytes:
    try:
        key = bytes.fromhex(str(text))
    except ValueError:
        key = b""
    if len(key) != _KEY:
        raise ConfigError(f"the key of {name} is no 64 hexadecimal digits", detail=str(path))
    return key


def _unreadable(key: str, path: Path) -> ConfigError:
    return ConfigError(
        f"{key} in the node config names no file that can be read: `flame-flwr node identity` "
        "makes one, and `provision` collects the others'",
        detail=str(path),
    )
