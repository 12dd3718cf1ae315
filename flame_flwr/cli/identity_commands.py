"""``flame-flwr node identity`` and ``peers``: a hospital's keys for secure sums."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from flame_flwr.cli.node_option import NodeFolder, with_path
from flame_flwr.cli.say import say
from flame_flwr.errors import ConfigError

__all__ = ["register"]


def register(commands: typer.Typer) -> None:
    """Add the commands to those of a node."""
    commands.command()(identity)
    commands.command()(peers)


def identity(node: NodeFolder = Path()) -> None:
    """Make this hospital's identity for secure sums, or show the one that it has."""
    from flame_flwr.files import write_file
    from flame_flwr.node.node_folder import node_settings
    from flame_flwr.privacy.secure.identities import PUBLIC, SecretIdentity, fingerprint

    settings = node_settings(node)
    name, path = settings.name, Path(settings.identity_key)
    if not name or not settings.identity_key:
        raise ConfigError(f"the config of the node in {node} needs `name` and `identity-key`")
    try:
        own = SecretIdentity.make(path)
        about = os.stat(node / "node.toml" if node.is_dir() else node)
        if os.geteuid() == 0:  # the service is to read it, and whoever has its config is its user
            os.chown(path, about.st_uid, about.st_gid)
        say(f"{path} is written: it stays here, and nobody else may read it")
    except FileExistsError:
        own = SecretIdentity.load(path)
        say(f"{path} is there already, and stays as it is")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror})") from error
    public = path.with_name(f"{name}.pub")
    write_file(public, f"{PUBLIC}{own.public.hex()}\n".encode())
    say(f"public half: {own.public.hex()}")
    say(f"fingerprint: {fingerprint(own.public)}")
    say(f"send {public} to whoever provisions, for `flame-flwr provision --identities`")


def peers(node: NodeFolder = Path()) -> None:
    """Show the hospitals that this one knows, and the fingerprint to be compared by telephone."""
    from flame_flwr.privacy.secure.identities import Identities, SecretIdentity, fingerprint

    settings, path = with_path(node, "peers")
    found = Identities.load(path)
    own, named = Path(settings.identity_key), found.keys.get(settings.name)
    if named and own.is_file() and named != SecretIdentity.load(own).public:
        raise ConfigError(
            f"{settings.peers} has another key for {settings.name} than its own: somebody has "
            "changed it, or the identity was made anew since. Send the .pub file again"
        )
    for name in sorted(found.keys, key=str.encode):
        say(f"{name}: {fingerprint(found.keys[name])}")
    say(f"all {len(found.keys)} together: {found.fingerprint()}")
    say("every hospital's file must give the same line: compare it by telephone")
