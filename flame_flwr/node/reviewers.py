"""Reviewers' signatures: an approval that one person gives, for all hospitals that trust the key.

A signature is Ed25519's, over everything that the approval says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import shlex
import stat
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_key,
)

from flame_flwr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Reviewers", "fingerprint", "is_signed", "read_private_key", "read_public_key", "sign"]

Reviewers = dict[str, tuple[str, Ed25519PublicKey]]
"""Names and keys of those whom a hospital trusts, by the keys' fingerprints."""

_HOW = "`ssh-keygen -t ed25519 -f NAME` makes a pair"


def read_public_key(content: bytes) -> Ed25519PublicKey:
    """Read a public key as ``ssh-keygen`` writes it.

    Raises
    ------
    ConfigError
        It is none, or of another kind than Ed25519.
    """
    try:
        key = load_ssh_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"this is no public key of OpenSSH: {_HOW}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"a reviewer's key is an Ed25519 key: {_HOW}")
    return key


def read_private_key(path: Path, ask: Callable[[], str]) -> Ed25519PrivateKey:
    """Read a private key as ``ssh-keygen`` or OpenSSL writes it.

    Parameters
    ----------
    path : Path
        The file.
    ask : callable
        Returns the password, where the key has one.

    Raises
    ------
    ConfigError
        It cannot be read, is encrypted with another password, or is no Ed25519 key; or others than
        its owner may read it.
    """
    try:
        with path.open("rb") as file:  # opened first, so that what is looked at is what is read
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigError(
            f"others may read or change {path} (its mode is {mode:04o}), and whoever has it can "
            "sign approvals for every hospital that trusts it: `chmod 600 "
            f"{shlex.quote(str(path))}`, or make another pair where somebody may have read it"
        )
    try:
        load = load_ssh_private_key if b"OPENSSH" in content else load_pem_private_key
        try:
            key = load(content, None)
        except TypeError:  # it is encrypted
            key = load(content, ask().encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is no private key that can be read: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is no Ed25519 key: {_HOW}")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return what a key is known by, as ``ssh-keygen -lf`` prints it."""
    blob = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1]
    digest = hashlib.sha256(base64.b64decode(blob)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def sign(said: Mapping[str, Any], key: Ed25519PrivateKey) -> str:
    """Sign what an approval says.

    Examples
    --------
    >>> key = Ed25519PrivateKey.generate()
    >>> signature = sign({"project": "long-covid"}, key)
    >>> is_signed({"project": "long-covid"}, signature, key.public_key())
    True
    >>> is_signed({"project": "another"}, signature, key.public_key())
    False
    """
    return base64.b64encode(key.sign(_statement(said))).decode()


def is_signed(said: Mapping[str, Any], signature: str, key: Ed25519PublicKey) -> bool:
    """Tell whether a signature is that of a key over what an approval says."""
    try:
        key.verify(base64.b64decode(signature, validate=True), _statement(said))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _statement(said: Mapping[str, Any]) -> bytes:
    # With what it is: a signature that the key has made for something else is none of an approval.
    return b"flame-flwr approval 1\n" + json.dumps(said, sort_keys=True).encode()
