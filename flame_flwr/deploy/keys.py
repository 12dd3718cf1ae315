"""Certificates and keys: a CA, the server's certificate below it, a key pair per hospital.

The server proves itself with its certificate (TLS); a hospital proves itself with its key, whose
public half is registered with the SuperLink. Keys are ECDSA P-384, which both sides of Flower take.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta
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
    "bare",
    "check_public_key",
    "client_pair",
    "load_authority",
    "node_pair",
    "server_pair",
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
    key = ec.generate_private_key(ec.SECP384R1())
    name = _name(authority_name(federation))
    usage = {"key_cert_sign": True, "crl_sign": True}
    certificate = (
        _builder(name, name, key.public_key(), now, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(**usage), critical=True)
        .sign(key, hashes.SHA384())
    )
    return _pem(key), certificate.public_bytes(serialization.Encoding.PEM)


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
    key = ec.generate_private_key(ec.SECP384R1())
    ca_key, issuer = ca
    server_only = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        _builder(_name(names[0][:64]), issuer, key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(server_only, critical=False)
        .add_extension(signer, critical=False)
        .add_extension(x509.SubjectAlternativeName(list(map(_alternative, names))), critical=False)
        .sign(ca_key, hashes.SHA384())
    )
    return _pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def client_pair(name: str, now: datetime, days: int) -> Pair:
    """Make a key and a certificate by which a proxy knows an analyst.

    It has signed itself: whoever is let in is in the proxy's list, as in `authorized_keys`.

    Returns
    -------
    tuple of bytes
        The private key (PKCS #8) and the certificate, both PEM.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    client_only = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = (
        _builder(_name(name), _name(name), key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(client_only, critical=False)
        .sign(key, hashes.SHA384())
    )
    return _pem(key), certificate.public_bytes(serialization.Encoding.PEM)


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


def bare(public: bytes) -> bytes:
    """Return a public key in OpenSSH's format without its comment: equal keys are equal bytes."""
    return b" ".join(public.split()[:2])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _key_usage(**given: bool) -> x509.KeyUsage:
    no = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**{**no, **given})


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
