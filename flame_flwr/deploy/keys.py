"""Certificates and keys: a CA, the server's certificate below it, a key pair per hospital.

The server proves itself with its certificate (TLS); a hospital proves itself with its key, whose
public half is registered with the SuperLink. Keys are ECDSA P-384, which both sides of Flower take.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta
from inspect import signature
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from flame_flwr.errors import ConfigError
from flame_flwr.text.textfiles import decode_text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Pair",
    "authority",
    "authority_name",
    "check_public_key",
    "client_pair",
    "load_authority",
    "node_pair",
    "server_pair",
    "without_comment",
]

_CA_DAYS = 3650
_CLOCKS = timedelta(hours=1)
"""Certificates are valid from an hour ago: clocks differ."""

Pair = tuple[bytes, bytes]
"""A private key and its certificate or public key, as the files hold them."""


def authority(federation: str, now: datetime) -> Pair:
    """Make a CA's key and certificate, valid for ten years.

    Parameters
    ----------
    federation : str
        The federation's name, part of the CA's.
    now : datetime
        The time, with its zone.

    Returns
    -------
    tuple of bytes
        The private key (PKCS #8) and the certificate, both PEM.
    """
    name = _name(authority_name(federation))
    usage = _key_usage("key_cert_sign", "crl_sign")
    return _pair(name, now, _CA_DAYS, x509.BasicConstraints(ca=True, path_length=0), usage)


def authority_name(federation: str) -> str:
    """Return the name that the CA of a federation has in its certificate."""
    return f"{federation} CA"


def load_authority(pair: Pair, federation: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Name]:
    """Read a CA's key and name back.

    Raises
    ------
    ConfigError
        Key and certificate do not belong together, or are those of another federation.
    """
    try:
        key = serialization.load_pem_private_key(pair[0], None)
        certificate = x509.load_pem_x509_certificate(pair[1])
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"the CA's key or certificate cannot be read: {error}") from error
    if certificate.public_key() != key.public_key() or not isinstance(
        key, ec.EllipticCurvePrivateKey
    ):
        raise ConfigError("the CA's key and its certificate do not belong together")
    if certificate.subject != _name(authority_name(federation)):
        raise ConfigError(
            f"the CA is that of another federation: {certificate.subject.rfc4514_string()}"
        )
    return key, certificate.subject


def server_pair(
    ca: tuple[ec.EllipticCurvePrivateKey, x509.Name],
    names: Sequence[str],
    now: datetime,
    days: int,
) -> Pair:
    """Make the server's key and certificate.

    Parameters
    ----------
    ca : tuple
        The CA's key and name, from :func:`load_authority`.
    names : sequence of str
        Names and addresses that the certificate is for; the first is its subject.
    now : datetime
        The time, with its zone.
    days : int
        How long it is valid.

    Returns
    -------
    tuple of bytes
        The private key (PKCS #8) and the certificate, both PEM.
    """
    return _pair(
        _name(names[0][:64]),  # X.509 has no longer common names; programs look at the others
        now,
        days,
        *_OF_NO_CA,
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ca[0].public_key()),
        x509.SubjectAlternativeName(list(map(_alternative, names))),
        ca=ca,
    )


def client_pair(name: str, now: datetime, days: int) -> Pair:
    """Make a key and a certificate by which a proxy knows an analyst.

    It has signed itself: whoever is let in is in the proxy's list, as in `authorized_keys`.

    Returns
    -------
    tuple of bytes
        The private key (PKCS #8) and the certificate, both PEM.
    """
    client_only = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return _pair(_name(name), now, days, *_OF_NO_CA, client_only)


def node_pair(name: str) -> Pair:
    """Make a hospital's key pair: the private and the public key in OpenSSH's format.

    Parameters
    ----------
    name : str
        The hospital's, the comment of the public key.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return private, public + f" {name}\n".encode()


def check_public_key(content: bytes, where: str) -> bytes:
    """Return a public key that a hospital made itself, if Flower takes it.

    Raises
    ------
    ConfigError
        It is no ECDSA key in OpenSSH's format, or it is a private one.
    """
    make = "make one with: ssh-keygen -t ecdsa -b 384 -N '' -f node.key"
    try:
        content = decode_text(content).encode()
    except ValueError as error:
        raise ConfigError(f"{where} is no public key: {error}") from error
    if b"PRIVATE KEY" in content:
        raise ConfigError(f"{where} is a private key: the hospital sends the other file, the .pub")
    try:
        key = serialization.load_ssh_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{where} is no public key in OpenSSH's format; {make}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ConfigError(f"{where} is no ECDSA key; {make}")
    return content


def without_comment(public: bytes) -> bytes:
    """Return a public key in OpenSSH's format without its comment: equal keys are equal bytes."""
    return b" ".join(public.split()[:2])


def _pair(
    subject: x509.Name,
    now: datetime,
    days: int,
    *extensions: x509.ExtensionType,
    ca: tuple[ec.EllipticCurvePrivateKey, x509.Name] | None = None,
) -> Pair:
    """Make a key and its certificate, signed by a CA or by the key itself."""
    key = ec.generate_private_key(ec.SECP384R1())
    signer, issuer = ca or (key, subject)
    builder = x509.CertificateBuilder(
        issuer,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        now - _CLOCKS,
        now + timedelta(days=days),
    )
    for extension in (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), *extensions):
        builder = builder.add_extension(extension, critical=isinstance(extension, _CRITICAL))
    certificate = builder.sign(signer, hashes.SHA384())
    return _pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _key_usage(*given: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{use: use in given for use in signature(x509.KeyUsage).parameters})


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


_CRITICAL = (x509.BasicConstraints, x509.KeyUsage)
"""What a program that does not know it must refuse the certificate for."""
_OF_NO_CA = x509.BasicConstraints(ca=False, path_length=None), _key_usage("digital_signature")
