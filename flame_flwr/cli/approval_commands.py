"""The commands by which a hospital decides which apps run at its node: ``node apps`` and others.

They read and write the node's ``gate`` folder, as the user that the node runs as.
"""

from __future__ import annotations

import getpass
import os
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flame_flwr.cli.node_option import with_path
from flame_flwr.cli.say import say
from flame_flwr.errors import ConfigError
from flame_flwr.files import read_file

if TYPE_CHECKING:
    from flame_flwr.node.app_archive import AppArchive
    from flame_flwr.node.approvals_file import Approval
    from flame_flwr.node.gate_folder import GateFolder

__all__ = ["register"]

_SHORTEST = 4

Node = Annotated[
    Path, typer.Option("--node", help="the node's folder, with its node.toml", show_default="here")
]
Hash = Annotated[str, typer.Argument(help="the app's hash, or how it begins")]
Project = Annotated[str, typer.Option(help="`project-id` of the runs that are approved")]
Until = Annotated[datetime, typer.Option(help="the last day", formats=["%Y-%m-%d"])]
Note = Annotated[str, typer.Option(help="why, for whoever reads it later")]
MayDiffer = Annotated[
    str, typer.Option(help="keys of the run config that a run may set otherwise: alpha,rounds")
]


def register(commands: typer.Typer) -> None:
    """Add the commands to ``flame-flwr node``."""
    for command in (apps, show, diff, approve, reject, trust, sign, accept):
        commands.command()(command)


def apps(node: Node = Path()) -> None:
    """List the apps that wait for approval, may run, or may not."""
    from flame_flwr.cli.approval_tables import show_apps

    folder, name = _gate(node)
    show_apps(folder, name)


def show(
    app: Annotated[str, typer.Argument(help="the app's hash, or how it begins; or a .fab file")],
    file: Annotated[
        list[str] | None, typer.Option(help="print this file of the app; repeatable")
    ] = None,
    node: Node = Path(),
) -> None:
    """Show what an app is: the analyzer's text first, what it declares, its files, its imports."""
    from flame_flwr.cli.approval_tables import show_app, show_file

    folder, archive = _app(app, node)
    for path in file or ():
        show_file(archive, path)
    if not file:
        show_app(archive, folder)


def diff(
    app: Hash,
    other: Annotated[
        str | None, typer.Argument(help="compared with this one, and not the last approved version")
    ] = None,
    node: Node = Path(),
) -> None:
    """Show what an app has otherwise than the last approved version of it, or than another one."""
    from flame_flwr.cli.approval_tables import show_difference
    from flame_flwr.node.app_history import last_approved

    folder, archive = _app(app, node)
    if other is not None:
        before = _app(other, node)[1]
    else:
        assert folder is not None
        found = last_approved(folder, archive)
        if found is None:
            raise ConfigError(
                f"no other version of {archive.name} was approved here: `flame-flwr node show` has "
                "it whole"
            )
        before = found
    show_difference(before, archive)


def approve(
    app: Hash,
    project: Project,
    until: Until,
    note: Note = "",
    may_differ: MayDiffer = "",
    node: Node = Path(),
) -> None:
    """Let an app run at this node, for one project and until the end of a day."""
    from flame_flwr.node.approvals_file import now

    folder, name = _gate(node)
    archive = _archive(folder, _digest(folder, app))
    approval = _approval(archive, project, until, note, may_differ)
    approval = replace(approval, reviewer=_person(), since=now())
    folder.change(lambda before: before.with_approval(approval))
    folder.settle(archive.digest)
    say(f"{archive.title} may run at {name}, for {project} until {approval.until}")


def reject(app: Hash, note: Note = "", node: Node = Path()) -> None:
    """Keep an app from running at this node; what was approved of it is taken back."""
    from flame_flwr.node.approvals_file import Rejection, now

    folder, name = _gate(node)
    digest = _digest(folder, app)
    rejection = Rejection(digest, _title(folder, digest), _person(), note, now())
    folder.change(lambda before: before.with_rejection(rejection))
    folder.settle(digest)
    say(f"{rejection.app} does not run at {name}")


def trust(
    key: Annotated[Path, typer.Argument(help="a reviewer's public key, an Ed25519 .pub file")],
    name: Annotated[str, typer.Option(help="the reviewer's name", show_default="the file's")] = "",
    node: Node = Path(),
) -> None:
    """Trust a reviewer: what is signed with this key may run here, once it is accepted."""
    from flame_flwr.node.reviewers import fingerprint, read_public_key

    folder, _ = _gate(node)
    content = read_file(key)
    public = read_public_key(content)
    path = folder.trust(name or key.stem, public, content)
    say(f"{fingerprint(public)} is trusted here. Compare it with the reviewer's own:")
    say(f"`ssh-keygen -lf {key.name}`. To trust it no more, remove {path}")


def sign(
    app: Annotated[str, typer.Argument(help="the app's hash, or how it begins; or a .fab file")],
    project: Project,
    until: Until,
    key: Annotated[Path, typer.Option(help="the reviewer's private key, Ed25519")],
    note: Note = "",
    may_differ: MayDiffer = "",
    to: Annotated[
        Path | None, typer.Option(help="the file to write", show_default="HASH.approval.toml")
    ] = None,
    node: Node = Path(),
) -> None:
    """Approve an app for all hospitals that trust a reviewer's key: write a file for them."""
    from flame_flwr.files import write_file
    from flame_flwr.node.approvals_file import now, toml_of
    from flame_flwr.node.reviewers import fingerprint, read_private_key
    from flame_flwr.node.reviewers import sign as signature_of

    archive = _app(app, node)[1]
    private = read_private_key(key, lambda: getpass.getpass(f"password of {key}: "))
    approval = _approval(archive, project, until, note, may_differ)
    approval = replace(approval, since=now(), key=fingerprint(private.public_key()))
    approval = replace(approval, signature=signature_of(approval.said(), private))
    path = to or Path(f"{archive.digest[:12]}.approval.toml")
    write_file(path, toml_of(approval).encode())
    say(f"{path} is written: at every hospital, `flame-flwr node accept {path.name}`")


def accept(
    file: Annotated[Path, typer.Argument(help="what `flame-flwr node sign` has written")],
    node: Node = Path(),
) -> None:
    """Let an app run at this node that a trusted reviewer has signed."""
    from flame_flwr.node.approvals_file import parse_approval

    folder, name = _gate(node)
    try:
        approval = parse_approval(read_file(file).decode())
    except ValueError as error:
        raise ConfigError(f"{file} is no signed approval: {error}") from error
    reviewers = folder.reviewers()
    if approval.key not in reviewers:
        raise ConfigError(
            f"{file} is signed with the key {approval.key}, which is not trusted here: "
            "`flame-flwr node trust KEY.pub` if it should be"
        )
    if not approval.is_valid(reviewers):
        raise ConfigError(f"{file} was changed after it was signed, or its signature is another's")
    if folder.approvals().rejection(approval.hash) is not None:
        raise ConfigError(
            f"{approval.app} was rejected at this node: `flame-flwr node approve` it here if that "
            "is to be otherwise"
        )
    _check_use(approval.project, approval.until)
    approval = replace(approval, reviewer=reviewers[approval.key][0])
    folder.change(lambda before: before.with_approval(approval))
    folder.settle(approval.hash)
    say(
        f"{approval.app} may run at {name}, for {approval.project} until {approval.until}: "
        f"signed by {approval.reviewer}"
    )


def _gate(node: Path) -> tuple[GateFolder, str]:
    """Return a node's gate folder, and its name."""
    from flame_flwr.node.gate_folder import GateFolder
    from flame_flwr.node.node_folder import check_user

    settings, _ = with_path(node, "state-dir")
    folder = GateFolder(settings.state_dir)
    check_user(folder.path)
    return folder, settings.name or str(node)


def _app(app: str, node: Path) -> tuple[GateFolder | None, AppArchive]:
    """Return an app that came to the node, or that a file holds."""
    from flame_flwr.node.app_archive import AppArchive

    if app.endswith(".fab"):
        return None, AppArchive.read(read_file(Path(app)))
    folder, _ = _gate(node)
    return folder, _archive(folder, _digest(folder, app))


def _archive(folder: GateFolder, digest: str) -> AppArchive:
    from flame_flwr.node.app_archive import AppArchive

    return AppArchive.read(folder.read_archive(digest))


def _digest(folder: GateFolder, start: str) -> str:
    """Return the one hash that begins so."""
    start = start.lower()
    found = sorted(digest for digest in folder.digests() if digest.startswith(start))
    if len(found) == 1 and len(start) >= _SHORTEST:
        return found[0]
    if not found:
        raise ConfigError(
            f"no app whose hash begins with {start!r} has come to this node: `flame-flwr node "
            "apps` lists those that have"
        )
    shown = ", ".join(digest[:12] for digest in found[:5])
    raise ConfigError(f"{start!r} is not one app's hash: give more of it ({shown})")


def _title(folder: GateFolder, digest: str) -> str:
    """Return an app's name, also where its archive is gone or cannot be read."""
    try:
        return _archive(folder, digest).title
    except (ConfigError, ValueError):
        approvals, request = folder.approvals(), folder.request(digest)
        known = [each.app for each in approvals.of(digest)]
        return known[0] if known else request.app if request else "?"


def _approval(
    archive: AppArchive, project: str, until: datetime, note: str, may_differ: str
) -> Approval:
    from flame_flwr.node.approvals_file import Approval

    archive.check_kind()
    _check_use(project, until.date())
    keys = tuple(key.strip() for key in may_differ.split(",") if key.strip())
    for key in keys:
        if key not in archive.config:
            known = ", ".join(archive.config) or "none"
            raise ConfigError(f"the app's run config has no {key!r}; its keys are {known}")
    return Approval(archive.digest, archive.title, project, until.date(), keys, note=note)


def _check_use(project: str, until: date) -> None:
    if not project.strip():
        raise ConfigError(
            "an approval is for one project: name the `project-id` of the runs, as `flame-flwr "
            "node apps` lists it"
        )
    if until < date.today():
        raise ConfigError(f"{until} is over: an approval is until a day that is still to come")


def _person() -> str:
    """Return who decides: the person, where a service's user is only lent."""
    return os.environ.get("SUDO_USER") or getpass.getuser()
