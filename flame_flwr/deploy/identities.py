"""``flame-flwr provision --identities``: the hospitals' public keys, for every one of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.errors import ConfigError
from flame_flwr.files import write_file
from flame_flwr.privacy.secure.identities import PRIVATE, PUBLIC

if TYPE_CHECKING:
    from flame_flwr.deploy.federation import Federation

__all__ = ["collect_identities"]

_DIGITS = 64


def collect_identities(federation: Federation, target: Path, folder: Path) -> list[Path]:
    """Write ``peers.toml`` for every hospital, of the public keys that they have sent.

    Private keys are made at the hospitals, by ``flame-flwr node identity``, and never here.

    Parameters
    ----------
    federation : Federation
        Who takes part.
    target : Path
        The folder that was provisioned.
    folder : Path
        With a file ``NAME.pub`` of every hospital.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    ConfigError
        A hospital's file is missing, is no public half of a key, or two have one key.
    """
    keys = {
        hospital.name: _read(folder / f"{hospital.name}.pub") for hospital in federation.hospitals
    }
    if len(set(keys.values())) < len(keys):
        raise ConfigError("two hospitals have sent one key: each makes its own")
    if not (target / "server").is_dir():
        raise ConfigError(f"{target} is no folder that `flame-flwr provision` has made")
    lines = [f"{json.dumps(name)} = {json.dumps(key)}" for name, key in keys.items()]
    content = "\n".join(["[peers]", *lines, ""]).encode()
    written = []
    for name in keys:
        path = target / name / "peers.toml"
        path.parent.mkdir(mode=0o700, exist_ok=True)  # who has given it away has deleted it
        write_file(path, content)
        written.append(path)
    return written


def _read(path: Path) -> str:
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is missing: `flame-flwr node identity` at {path.stem} writes it, to be sent"
        ) from error
    send = f"say `flame-flwr node identity` at {path.stem}, and send {path.name}, which it writes"
    if text.startswith(PRIVATE):
        raise ConfigError(
            f"{path} is a private key, and must not be here: whoever has seen it can pose as "
            f"{path.stem}, so it must be replaced now. Delete this file, remove the file that "
            f"`identity-key` names at {path.stem}, {send}"
        )
    key = text.removeprefix(PUBLIC)
    if key == text or len(key) != _DIGITS or set(key) - set("0123456789abcdef"):
        raise ConfigError(
            f"{path} is no public half of a key, as `flame-flwr node identity` writes it: {send}. "
            f"If the file that `identity-key` names was sent, that key must be replaced: delete "
            f"what was sent, and remove that file before"
        )
    return key
