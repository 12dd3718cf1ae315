"""The certificates and keys of a federation: who trusts whom, for what, how long."""

import ipaddress
import shutil
import stat
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from flame_flwr.deploy import keys, provision, renew
from flame_flwr.errors import ConfigError

from .trial import NOW, contents


def verify(ca, certificate, name, when):
    store = verification.Store([x509.load_pem_x509_certificate(ca)])
    try:
        subject = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    verifier = verification.PolicyBuilder().store(store).time(when).build_server_verifier(subject)
    return verifier.verify(x509.load_pem_x509_certificate(certificate), [])


def test_the_certificate_is_good_for_its_names(made):
    files = contents(made)
    for name in ("flower.example.org", "10.1.2.3", "localhost", "127.0.0.1", "::1"):
        assert len(verify(files["ca/ca.pem"], files["server/server.pem"], name, NOW)) == 2
    for name in ("evil.example.org", "10.1.2.4", "example.org"):
        with pytest.raises(verification.VerificationError):
            verify(files["ca/ca.pem"], files["server/server.pem"], name, NOW)


def test_the_certificate_lasts_as_long_as_asked(made):
    files = contents(made)
    name = "flower.example.org"
    verify(files["ca/ca.pem"], files["server/server.pem"], name, NOW - timedelta(minutes=50))
    verify(files["ca/ca.pem"], files["server/server.pem"], name, NOW + timedelta(days=89))
    for when in (NOW + timedelta(days=91), NOW - timedelta(hours=2)):
        with pytest.raises(verification.VerificationError):
            verify(files["ca/ca.pem"], files["server/server.pem"], name, when)


def test_another_federations_certificate_is_refused(made, federation, tmp_path):
    provision(federation, tmp_path / "other", NOW)
    other = (tmp_path / "other" / "server" / "server.pem").read_bytes()
    with pytest.raises(verification.VerificationError):
        verify((made / "ca" / "ca.pem").read_bytes(), other, "localhost", NOW)


def test_what_the_certificates_may_be_used_for(made):
    ca = x509.load_pem_x509_certificate((made / "ca" / "ca.pem").read_bytes())
    server = x509.load_pem_x509_certificate((made / "server" / "server.pem").read_bytes())
    basic = [c.extensions.get_extension_for_class(x509.BasicConstraints) for c in (ca, server)]
    assert [extension.critical for extension in basic] == [True, True]
    assert [extension.value.ca for extension in basic] == [True, False]
    assert basic[0].value.path_length == 0
    usage = [c.extensions.get_extension_for_class(x509.KeyUsage).value for c in (ca, server)]
    assert [u.key_cert_sign for u in usage] == [True, False]
    assert [u.digital_signature for u in usage] == [False, True]
    extended = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert server.issuer == ca.subject
    assert ca.serial_number != server.serial_number


def test_a_new_certificate_for_the_server(made, federation):
    before = contents(made)
    later = NOW + timedelta(days=80)
    folder = renew(federation, made, later)
    assert folder == made / "server" / "renewed-2026-05-20"
    new = contents(folder)
    assert set(new) == {"server.key", "server.pem"}
    verify(before["ca/ca.pem"], new["server.pem"], "10.1.2.3", later + timedelta(days=89))
    assert new["server.key"] != before["server/server.key"]
    assert stat.S_IMODE((folder / "server.key").stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="nothing is overwritten"):
        renew(federation, made, later)
    assert {name: text for name, text in contents(made).items() if name in before} == before


def test_a_new_certificate_needs_the_right_ca(made, federation, tmp_path):
    provision(federation, tmp_path / "other", NOW)
    shutil.copy(tmp_path / "other" / "ca" / "ca.key", made / "ca" / "ca.key")
    with pytest.raises(ConfigError, match="key and its certificate do not belong together"):
        renew(federation, made)
    (made / "ca" / "ca.key").write_text("x")
    with pytest.raises(ConfigError, match="cannot be read"):
        renew(federation, made)
    (made / "ca" / "ca.key").unlink()
    with pytest.raises(ConfigError, match=r"ca\.key cannot be read: No such file"):
        renew(federation, made)


def test_every_private_key_belongs_to_what_is_public(made):
    files = contents(made)
    for key, certificate in (
        ("ca/ca.key", "ca/ca.pem"),
        ("server/server.key", "server/server.pem"),
    ):
        private = serialization.load_pem_private_key(files[key], None)
        assert (
            private.public_key() == x509.load_pem_x509_certificate(files[certificate]).public_key()
        )
    for name in ("hospital-a", "hospital-b"):
        private = serialization.load_ssh_private_key(files[f"{name}/node.key"], None)
        assert isinstance(private.curve, ec.SECP384R1)
        assert private.public_key() == serialization.load_ssh_public_key(files[f"{name}/node.pub"])
        assert files[f"server/keys/{name}.pub"] == files[f"{name}/node.pub"]
        assert files[f"{name}/node.pub"].endswith(f" {name}\n".encode())


def ed25519():
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().public_key()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (keys.node_pair("x")[0], "is a private key: the hospital sends the other file"),
        (b"hello", "is no public key in OpenSSH's format; make one with: ssh-keygen -t ecdsa"),
        (
            ed25519().public_bytes(
                serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
            ),
            "is no ECDSA key; make one",
        ),
    ],
    ids=["private", "no key", "ed25519"],
)
def test_a_key_flower_refuses_is_refused(content, message):
    with pytest.raises(ConfigError, match=message):
        keys.check_public_key(content, "b.pub")
