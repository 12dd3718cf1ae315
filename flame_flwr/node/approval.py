"""Whether a message's app may run at this node: decided by its archive's hash, before it is opened.

The hospital's answer is in its ``gate`` folder. An app that is not approved is kept there for
somebody to look at, and the server is told what it waits for.
"""

from __future__ import annotations

import shlex
import zipfile
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from flwr.app import Error, Message, RecordDict

from flame_flwr.clients.node_name import name_or_address
from flame_flwr.clients.reply_records import failed_records
from flame_flwr.config import RUN_KEYS, NodeSettings
from flame_flwr.errors import ConfigError, FlameError
from flame_flwr.failure.failure import Failure
from flame_flwr.files import reason_of
from flame_flwr.flower import HELLO
from flame_flwr.flower_node_state import REFUSED, read_run_config
from flame_flwr.log import logger
from flame_flwr.node.app_archive import AppArchive, digest_of
from flame_flwr.node.gate_folder import GateFolder
from flame_flwr.node.waiting_apps import FullError, request_of
from flame_flwr.text.shown_text import shown_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.flower_node_state import NodeMessage
    from flame_flwr.node.approvals_file import Approval

__all__ = [
    "AppRefusedError",
    "check_app",
    "differing_keys",
    "project_asked",
    "refusal_of",
    "say_what_runs",
]

_LONGEST = 120
_ASK = 12  # digits of a hash that people type


class AppRefusedError(FlameError):
    """An app may not run at this node.

    Parameters
    ----------
    state : str
        In one word: ``waits``, ``rejected``, ``expired``, ``project``, ``config``, ``kind``,
        ``unreadable``.
    title : str
        The same in a few words, with the node's name.
    message : str
        What is to be done.
    """

    def __init__(self, state: str, title: str, message: str) -> None:
        super().__init__(message)
        self.state = state
        self.title = title


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is known of a message without opening its app's archive."""

    node: str
    app: str
    digest: str
    project: str

    @property
    def what(self) -> str:
        return f"app {self.app}, SHA-256 {self.digest}"

    @property
    def command(self) -> str:
        project = shlex.quote(self.project) if self.project else "PROJECT"
        short = self.digest[:_ASK]
        return (
            f"there, `flame-flwr node show {short}` shows it and `flame-flwr node approve {short} "
            f"--project {project} --until DATE` lets it run"
        )


def say_what_runs(settings: NodeSettings) -> None:
    """Log which apps a node will run, when it starts; make the folder for that.

    Raises
    ------
    ConfigError
        Apps are to be approved, and the node has no folder to keep that in.
    """
    if settings.approval == "none":
        logger.warning(
            'approval = "none": whoever reaches the server can run any code at this node, as the '
            "user that it runs as"
        )
        return
    if not settings.state_dir:
        raise ConfigError(
            "this node runs approved apps only, and has no folder for who approved what: set "
            "`state-dir` in the node config. On a machine without patients' data, "
            'approval="none" in the node config lets every app run'
        )
    folder = GateFolder(settings.state_dir)
    try:
        with folder.locked():
            waiting = len(folder.requests())
        approved = len(folder.approvals().approved)
    except OSError as error:
        raise ConfigError(
            f"the folder for who approved what cannot be made: {reason_of(error)}",
            detail=str(error),
        ) from error
    except ConfigError as error:
        logger.error("no app runs at this node until this is mended: %s", error)
        return
    more = f", {waiting} waiting: `flame-flwr node apps` lists them" if waiting else ""
    logger.info("this node runs approved apps only: %d approved%s", approved, more)


def check_app(asked: NodeMessage) -> str:
    """See whether a message's app may run, and give the message its run config if so.

    Returns
    -------
    str
        The project that it is approved for; empty where the node asks for no approval.

    Raises
    ------
    AppRefusedError
        It may not. Nothing has been unpacked or imported.
    """
    settings = _settings(asked)
    about = _about(asked, settings.name)
    if asked.trouble:
        raise _refused("kind", "not a message that is answered", about, asked.trouble)
    if about.digest != asked.fab.hash_str:  # what the server says an app is counts for nothing
        raise _refused("kind", "not the app that was announced", about, "its archive has another")
    if settings.approval == "none":
        _open(asked, about)
        return ""
    if not settings.state_dir:
        raise _refused(
            "unreadable", "no approvals", about, "its node config needs `state-dir`: see there"
        )
    folder = GateFolder(settings.state_dir)
    try:
        approvals, reviewers = folder.approvals(), folder.reviewers()
    except ConfigError as error:
        logger.error("nothing runs: %s", error)
        raise _refused(
            "unreadable",
            "approvals that cannot be read",
            about,
            "nothing runs there until they are mended: `flame-flwr node apps` and its log say more",
        ) from error
    # First: a file that says both, as one that was written by hand may, lets nothing run.
    if (rejection := approvals.rejection(about.digest)) is not None:
        raise _refused("rejected", "rejected", about, f"decided on {rejection.since[:10]}")
    given = [each for each in approvals.of(about.digest) if each.is_valid(reviewers)]
    if not given:
        _keep(folder, asked, about, asked.fab.content)
        raise _refused("waits", "waits for approval", about, about.command)
    archive = _open(asked, about)
    try:
        project = _check_given(given, asked, archive, about)
    except AppRefusedError:
        _keep(folder, asked, about, None)
        raise
    folder.keep_archive(about.digest, asked.fab.content)
    return project


def project_asked(asked: NodeMessage) -> str:
    """Return the project that a run says it is of; empty where that is left to the app.

    The app's own is in its archive, which is not opened before the app may run.
    """
    return _clean(str(asked.run.override_config.get("project-id", "")))


def differing_keys(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """Return the keys of a run config that are not as the app has them, and that matter at a node.

    What the server alone reads may always differ: how long it waits, where results go. So may a
    `data` that is emptied, as it names what simulated nodes read, and no hospital takes it.

    Examples
    --------
    >>> defaults = {"alpha": 0.1, "results": "", "tags": "", "data": "app:patients"}
    >>> differing_keys({"alpha": 0.5, "results": "/srv", "tags": "", "data": ""}, defaults)
    ['alpha']
    """
    return sorted(
        key
        for key, value in config.items()
        if key not in _FREE
        and (key, value) != ("data", "")
        and (key not in defaults or not _same(value, defaults[key]))
    )


def refusal_of(
    asked: NodeMessage, error: AppRefusedError, more: Mapping[str, float] | None = None
) -> Message:
    """Return the answer to a message whose app may not run here.

    To hello it has the node's name, as the answer of every other node that cannot take part, and
    what `more` says of the node.
    """
    logger.warning("%s: %s", error.title, error.message)
    if asked.message.metadata.message_type != HELLO:
        reason = f"{error.title}: {error.message}"
        return Message(Error(REFUSED, reason), reply_to=asked.message)
    failure, name = Failure(error.title, text=error.message), name_or_address(asked.context)
    hello = {"name": name, "partitions": 0, "approval": error.state, "gated": True, **(more or {})}
    return Message(RecordDict(failed_records("hello", failure, hello)), reply_to=asked.message)


_FREE = {key for key, about in RUN_KEYS.items() if about.side == "server"} | {
    "state-dir",  # at a node it counts in a simulation only
    "project-id",  # an approval names it
}


def _settings(asked: NodeMessage) -> NodeSettings:
    try:
        return NodeSettings.from_config(asked.context.node_config)
    except ConfigError as error:
        logger.error("nothing runs: %s", error)
        node = name_or_address(asked.context)
        raise AppRefusedError("unreadable", f"ConfigError at {node}", error.message) from error


def _about(asked: NodeMessage, name: str) -> _Asked:
    run = asked.run
    return _Asked(
        node=name or str(asked.context.node_id),
        app=_clean(f"{run.fab_id} {run.fab_version}"),
        digest=digest_of(asked.fab.content),
        project=project_asked(asked),
    )


def _open(asked: NodeMessage, about: _Asked) -> AppArchive:
    """Open the archive, and give the message its run config."""
    try:
        archive = AppArchive.read(asked.fab.content)
        archive.check_kind()
        read_run_config(asked)
    except FlameError as error:
        raise _refused("kind", "not an app that runs here", about, error.message) from error
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        logger.error("what is wrong with the app's pyproject.toml: %s", error)
        why = "its pyproject.toml is not that of a Flower app, or the run has a key that it has not"
        raise _refused("kind", "not an app that runs here", about, why) from error
    return archive


def _check_given(
    given: Sequence[Approval], asked: NodeMessage, archive: AppArchive, about: _Asked
) -> str:
    """See whether one of the app's approvals is for this run, and return its project."""
    config = asked.context.run_config
    project = str(config.get("project-id", RUN_KEYS["project-id"].default))
    about = replace(about, project=_clean(project))
    here = [each for each in given if each.project == project]
    if not here:
        projects = ", ".join(sorted({each.project for each in given}))
        why = f"it is approved for {projects}, and this run is of {about.project!r}"
        raise _refused("project", "approved for another project", about, f"{why}; {about.command}")
    valid = [each for each in here if not each.is_over(date.today())]
    if not valid:
        last = max(each.until for each in here)
        why = f"its last day was {last}; {about.command}"
        raise _refused("expired", "approval expired", about, why)
    changed = differing_keys(config, archive.config)
    if not any(set(changed) <= set(each.may_differ) for each in valid):
        keys = ", ".join(f"`{key}`" for key in changed)
        why = (
            f"this run sets {keys} of the run config otherwise than the app does: leave that out, "
            f"or have it approved with --may-differ {','.join(changed)}"
        )
        raise _refused("config", "approved with another run config", about, why)
    return valid[0].project


def _keep(folder: GateFolder, asked: NodeMessage, about: _Asked, content: bytes | None) -> None:
    run = str(asked.message.metadata.run_id)
    noted = folder.request(about.digest)
    if noted is not None and any(each.get("run") == run for each in noted.asked):
        return  # a run asks with every message, and each would lock and write the folder
    try:
        folder.keep_request(about.digest, request_of(about.app, int(run), about.project), content)
    except FullError as error:
        raise _refused("waits", "no room for apps that wait", about, str(error)) from error
    except (OSError, ConfigError) as error:
        logger.error("the app that waits for approval cannot be kept: %s", error)
        why = f"it could not be kept there for a look at it: {reason_of(error)}"
        raise _refused("waits", "waits for approval", about, why) from error


def _refused(state: str, words: str, about: _Asked, why: str) -> AppRefusedError:
    return AppRefusedError(state, f"{words} at {about.node}", f"{about.what}; {why}")


def _clean(text: str) -> str:
    """Return a text of the server's as one that may stand in a log and in a command."""
    return shown_text(text, _LONGEST)


def _same(one: Any, other: Any) -> bool:
    # True is 1 to Python, and `secure = 1` is not `secure = true` to what reads it.
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
