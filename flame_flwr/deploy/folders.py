"""``flame-flwr provision``: a folder per party, with keys, certificates, scripts and pages.

A folder is complete or absent, and nothing that exists is overwritten.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from flame_flwr.deploy import keys, texts
from flame_flwr.errors import ConfigError
from flame_flwr.files import read_file, write_whole
from flame_flwr.installed.wheel import installed_wheel, read_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flame_flwr.deploy.federation import Federation, Hospital

__all__ = ["add_hospital", "provision", "renew", "rotate", "with_wheel"]

_Files = dict[str, bytes]


def with_wheel(federation: Federation, path: Path | None = None) -> Federation:
    """Return the federation with the wheel that all parties install.

    Parameters
    ----------
    federation : Federation
        Who takes part.
    path : Path, optional
        The wheel; of the flame-flwr that is installed here otherwise.

    Raises
    ------
    ConfigError
        The file is no wheel of flame-flwr.
    """
    wheel = installed_wheel() if path is None else read_wheel(path)
    return dataclasses.replace(federation, wheel=wheel)


def provision(federation: Federation, target: Path, now: datetime | None = None) -> None:
    """Write the folders of all parties.

    Parameters
    ----------
    federation : Federation
        Who takes part. Its wheel, if it has one, is written too.
    target : Path
        The folder to make.
    now : datetime, optional
        The time for the certificates, with its zone; the present otherwise.

    Raises
    ------
    ConfigError
        The folder exists or cannot be made, or a hospital's own public key is no good.

    Examples
    --------
    >>> from flame_flwr.deploy import EXAMPLE, read_federation
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file, made = Path(folder, "federation.toml"), Path(folder, "long-covid")
    ...     _ = file.write_text(EXAMPLE)
    ...     provision(read_federation(file), made)
    ...     sorted(path.name for path in made.iterdir())
    ['README.md', 'analyst', 'ca', 'hospital-a', 'hospital-b', 'server']
    """
    now = now or datetime.now(UTC)
    authority = keys.authority(federation.name, now)
    with _new_folder(target) as made:
        _write(made / "ca", {"ca.key": authority[0], "ca.pem": authority[1]})
        server = _server_certificate(federation, authority, now)
        until = _until(server["server.pem"])
        texts_of_server = _encoded(texts.server_texts(federation, until.date()))
        analyst = _encoded(texts.analyst_texts(federation))
        if federation.server.is_proxied:
            key, certificate = keys.client_pair("analyst", now, federation.days)
            analyst |= {"analyst.key": key, "analyst.pem": certificate}
            server["analysts.pem"] = certificate
        _write(made / "server", {**server, "ca.pem": authority[1], **texts_of_server})
        (made / "server" / "keys").mkdir(mode=0o700)
        for hospital in federation.hospitals:
            files = _hospital_files(federation, hospital, authority[1])
            _write(made / hospital.name, files)
            _write_file(made / "server" / "keys" / f"{hospital.name}.pub", files["node.pub"])
        _write(made / "analyst", {"ca.pem": authority[1], **analyst})
        page = texts.front_page(federation, until.date(), _until(authority[1]).date())
        _write_file(made / "README.md", page.encode())
        if federation.wheel is not None:
            _write_file(made / federation.wheel.name, federation.wheel.content)


def add_hospital(federation: Federation, target: Path, name: str) -> None:
    """Write one more hospital's folder and its public key, and touch nothing else.

    The CA's key is not needed.

    Raises
    ------
    ConfigError
        There is no such entry, the hospital is there already, or the folder is not that of
        this federation.
    """
    hospital = federation.hospital(name)
    ca = read_file(target / "server" / "ca.pem")
    _check_authority(ca, federation)
    public = target / "server" / "keys" / f"{name}.pub"
    for known in _public_keys(public.parent, name):
        raise ConfigError(f"{known} exists already: the hospital has been added before")
    for path in target.glob("flame_flwr-*.whl") if federation.wheel is None else ():
        federation = with_wheel(federation, path)  # what the others have
    files = _hospital_files(federation, hospital, ca)
    _write_with_public_key(target / name, files, public)


def renew(federation: Federation, target: Path, now: datetime | None = None) -> Path:
    """Write a new key and certificate for the server, beside the ones it has.

    Returns
    -------
    Path
        The new folder, ``server/renewed-DATE``.

    Raises
    ------
    ConfigError
        The CA's key is not in the folder, is another federation's, or this was done today already.
    """
    now = now or datetime.now(UTC)
    authority = read_file(target / "ca" / "ca.key"), read_file(target / "ca" / "ca.pem")
    files = _server_certificate(federation, authority, now)
    folder = target / "server" / f"renewed-{now.date()}"
    with _new_folder(folder) as made:
        for name, content in files.items():
            _write_file(made / name, content)
    return folder


def rotate(
    federation: Federation, target: Path, name: str, now: datetime | None = None
) -> tuple[Path, Path]:
    """Give a hospital a new key beside the one it has, which stays good until the server ends it.

    The CA's key is not needed. Where the hospital's entry has a `public-key`, it is the new one.

    Returns
    -------
    tuple of Path
        The new folder, ``NAME+DATE``, for the hospital; the file below ``server/keys`` for the
        server.

    Raises
    ------
    ConfigError
        The hospital is not in the folder, this was done today already, or `public-key` is a key
        that it has or had.
    """
    hospital = federation.hospital(name)
    _check_authority(read_file(target / "server" / "ca.pem"), federation)
    known = target / "server" / "keys"
    if not _public_keys(known, name):
        raise ConfigError(
            f"{known} has no key of {name}: add the hospital first, with --add {name}"
        )
    made = target / f"{name}+{(now or datetime.now(UTC)).date()}"
    public = known / f"{made.name}.pub"
    private, content = _node_pair(hospital)
    used = {keys.without_comment(read_file(path)): path for path in _public_keys(known, "*")}
    if (before := used.get(keys.without_comment(content))) is not None:
        raise ConfigError(
            f"{hospital.public_key} is no new key: it is {before}; the hospital "
            "makes another with: ssh-keygen -t ecdsa -b 384 -N '' -f node.key"
        )
    text = texts.rotation_text(federation, hospital, public.name)
    _write_with_public_key(
        made, {**private, "node.pub": content, "README.md": text.encode()}, public
    )
    return made, public


def _server_certificate(federation: Federation, authority: keys.Pair, now: datetime) -> _Files:
    ca = keys.load_authority(authority, federation.name)
    key, certificate = keys.server_pair(ca, federation.server.names, now, federation.days)
    return {"server.key": key, "server.pem": certificate}


def _hospital_files(federation: Federation, hospital: Hospital, ca: bytes) -> _Files:
    files = _encoded(texts.hospital_texts(federation, hospital))
    files["ca.pem"] = ca
    private, public = _node_pair(hospital)
    return {**files, **private, "node.pub": public}


def _node_pair(hospital: Hospital) -> tuple[_Files, bytes]:
    """Return the file with a hospital's private key, if it is made here, and the public key."""
    if hospital.public_key is not None:
        where = f"{hospital.public_key}"
        return {}, keys.check_public_key(read_file(hospital.public_key), where)
    private, public = keys.node_pair(hospital.name)
    return {"node.key": private}, public


def _public_keys(folder: Path, name: str) -> list[Path]:
    """Return a hospital's public keys at the server, also those that were ended."""
    # No hospital has a "+" in its name, so that "NAME+*" finds the keys of no other.
    return [*folder.glob(f"**/{name}.pub"), *folder.glob(f"**/{name}+*.pub")]


def _write_with_public_key(folder: Path, files: _Files, public: Path) -> None:
    """Write a hospital's folder, and its public key for the server: both or none."""
    with _new_folder(folder) as made:
        for file, content in files.items():
            _write_file(made / file, content)
    try:
        _write_file(public, files["node.pub"])
    except BaseException:  # Ctrl-C, too: with a folder and no key it could not be added again
        shutil.rmtree(folder)
        public.unlink(missing_ok=True)
        raise


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """Give a folder to fill, which gets its name at the end; after an error nothing is left."""
    if os.path.lexists(target):
        raise ConfigError(f"{target} exists already, and nothing is overwritten: choose another")
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise ConfigError(f"{target} cannot be made: {error.strerror}") from error
    try:
        yield made
        os.rename(made, target)  # whole or not at all: a folder without a key would seem complete
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(mode=0o700)
    for name, content in files.items():
        _write_file(folder / name, content)


def _write_file(path: Path, content: bytes) -> None:
    """Write a file: private keys for their owner alone, scripts executable."""
    write_whole(path, [content], {".key": 0o600, ".sh": 0o755}.get(path.suffix, 0o644))


def _encoded(files: Mapping[str, str]) -> _Files:
    return {name: text.encode() for name, text in files.items()}


def _check_authority(certificate: bytes, federation: Federation) -> None:
    subject = x509.load_pem_x509_certificate(certificate).subject.rfc4514_string()
    if subject != f"CN={keys.authority_name(federation.name)}":
        raise ConfigError(f"the folder is that of another federation: its CA is {subject}")


def _until(certificate: bytes) -> datetime:
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc
