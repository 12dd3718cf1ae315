"""A node's part in secure sums at its gate: what a message asks, and what leaves masked.

It is made of the node's own config, and of nothing that the process of an analysis says.
"""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, MessageType, MetricRecord

from flame_flwr.clients.analyzer_state import NodeState
from flame_flwr.clients.reply_records import records_of
from flame_flwr.config import RUN_KEYS, NodeSettings, RunSettings
from flame_flwr.data.kept_files import SECURE_SUMS, SESSION, FolderFiles, analysis_files
from flame_flwr.errors import ConfigError, NodeFailedError, PayloadError
from flame_flwr.flower import EMPTY, HELLO, runtime
from flame_flwr.payload import encode, from_record, to_record
from flame_flwr.privacy.gate import MUST_MASK
from flame_flwr.privacy.secure.context import IN_PROCESS, app_digest
from flame_flwr.privacy.secure.identities import Identities, SecretIdentity
from flame_flwr.privacy.secure.part import Rules, SecurePart
from flame_flwr.privacy.secure.session import SecureSession
from flame_flwr.privacy.secure.session_stores import FILE, LOST, FolderStore, refused
from flame_flwr.running_app import app_files
from flame_flwr.transport.read_reply import SUMS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import AbstractContextManager

    from flwr.app import Context, Message

    from flame_flwr.payload import Payload
    from flame_flwr.privacy.secure.part import Question
    from flame_flwr.privacy.secure.session import Kind
    from flame_flwr.privacy.secure.session_stores import SessionStore

__all__ = ["SecureGate", "aggregate_in"]

_CONFIGS = {
    HELLO: "getpropertiesins.config",
    MessageType.TRAIN: "fitins.config",
    MessageType.EVALUATE: "evaluateins.config",
}
_STATE = "flame_flwr.secure"
_WANTED = re.compile(r"\s*,\s*")


class SecureGate:
    """What a node's gate does about secure sums with one message.

    Parameters
    ----------
    message : Message
        What is asked.
    context : Context
        Of the node and run.
    settings : NodeSettings
        The node's.
    name : str
        The node's.
    files : mapping of str to bytes, optional
        The app's, where another process runs it; else those that this process has installed.
    """

    def __init__(
        self,
        message: Message,
        context: Context,
        settings: NodeSettings,
        name: str,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        self._message = message
        self._kind = message.metadata.message_type
        self._context = context
        self._settings = settings
        self._name = name
        self._files = files
        record = message.content.get(_CONFIGS.get(self._kind, ""))
        self._said = dict(record.items()) if isinstance(record, ConfigRecord) else {}

    def hello(self, states: Collection[int] = ()) -> dict[str, Any]:
        """Return what hello says of the node's keys: nothing where it is not asked.

        Parameters
        ----------
        states : collection of int
            The rounds after which the node has kept this analysis's analyzer on disk.

        Raises
        ------
        ConfigError
            The node lets masked sums out only, and the run has others; or it has no identity.
        NodeFailedError
            The analysis is under way, and the file of its session is lost.
        """
        if self._said.get("secure") is not True:
            if self.is_required:
                raise ConfigError(
                    'this hospital lets nothing out but secure sums (`secure = "require"` in its '
                    "node config): declare secure=True in the model, or `secure = true` in the run "
                    "config"
                )
            return {}
        # Which masks were used is in that file, and two values under one tell their difference.
        if states and runtime() == "deployment" and not self._has_begun():
            raise refused(LOST)
        entry = self._part.hello()
        return {"secure": f"{entry.identity.hex()} {entry.key.hex()} {entry.signature.hex()}"}

    @property
    def is_required(self) -> bool:
        """Whether the hospital lets nothing out but secure sums."""
        return self._settings.secure == "require"

    @property
    def asks(self) -> bool:
        """Whether the message asks for a masked answer."""
        return "sums" in self._said

    def before(self) -> dict[str, Any] | None:
        """Return the records of the answer that has left before; ``None`` where it is to be made.

        Raises
        ------
        NodeFailedError
            It may not be asked, or not without masks.
        """
        if not self.asks:
            self.check_unmasked(declared=False)
            return None
        answer = self._part.answered(self._question)
        if answer is None:
            return None
        if "analyzers" in self._said:  # of a run that goes on: as the client would have, had it run
            names = tuple(json.loads(str(self._said["analyzers"])))
            NodeState(self._context, self._analysis_files()).save_partners(names)
        return self._records(answer)

    def masked(self, value: Any, own: Mapping[str, Any]) -> dict[str, Any]:
        """Return the records of a value that leaves masked: nothing is said beside it.

        Parameters
        ----------
        value : Any
            As rules and filters have left it.
        own : mapping
            How statistics of the analysis's own classes add up.
        """
        return self._records(self._part.answer(self._question, value, own))

    def check_unmasked(self, *, declared: bool) -> None:
        """See that an answer may leave as it is.

        Parameters
        ----------
        declared : bool
            Whether the analysis declares that its sums are masked.

        Raises
        ------
        NodeFailedError
            It may not.
        """
        # Else a server would only have to ask once more, for the same sums without masks.
        asked = self._context.run_config.get("secure") is True
        if declared or asked or self.is_required or self._has_begun():
            raise NodeFailedError(MUST_MASK)

    # ---- what it is made of ------------------------------------------------------------------

    @cached_property
    def _part(self) -> SecurePart:
        identity, rules = self._identity(), self._rules()
        session = SecureSession(self._session, self._name, identity, self._store())
        digest = app_digest(files) if (files := self._app()) else IN_PROCESS
        return SecurePart(session, self._session, digest, self._run_config(), rules)

    @cached_property
    def _session(self) -> str:
        session = self._said.get("session")
        if not isinstance(session, str) or not SESSION.fullmatch(session):
            raise NodeFailedError("the message names no session, which secure sums need")
        return session

    def _identity(self) -> SecretIdentity | None:
        """Return the hospital's identity; ``None`` where one is made up for the session."""
        if runtime() != "deployment":
            return None
        settings = self._settings
        for key in ("identity-key", "peers", "state-dir"):
            if not getattr(settings, key.replace("-", "_")):
                raise ConfigError(
                    f"secure sums need `{key}` in this node's config: `flame-flwr node identity` "
                    "makes an identity, `peers` is the file of the others', and `state-dir` keeps "
                    "what was answered"
                )
        return SecretIdentity.load(Path(settings.identity_key))

    def _rules(self) -> Rules:
        settings = self._settings
        only_with = tuple(filter(None, _WANTED.split(settings.secure_with.strip())))
        peers = Identities.load(Path(settings.peers)) if runtime() == "deployment" else None
        return Rules(peers, settings.secure_min_nodes, only_with)

    def _store(self) -> SessionStore:
        if runtime() != "deployment":
            return _ContextStore(self._context)
        files = self._folder()
        files.make()
        return FolderStore(files.folder)

    def _folder(self) -> FolderFiles:
        return FolderFiles(Path(self._settings.state_dir), SECURE_SUMS, self._session, self._name)

    def _has_begun(self) -> bool:
        """Tell whether the session of the message is one of secure sums at this node."""
        session = self._said.get("session")
        if not isinstance(session, str) or not SESSION.fullmatch(session):
            return False
        if runtime() != "deployment":
            return _STATE in self._context.state
        return bool(self._settings.state_dir) and (self._folder().folder / FILE).exists()

    def _app(self) -> Mapping[str, bytes]:
        files = app_files() if self._files is None else self._files
        if not files and runtime() == "deployment":
            raise NodeFailedError("secure sums: this node does not find the app that it runs")
        return files

    def _run_config(self) -> dict[str, Any]:
        """Return the keys of the run config that nodes read, and the app's own."""
        return {
            key: value
            for key, value in self._context.run_config.items()
            if key not in RUN_KEYS or RUN_KEYS[key].side != "server"
        }

    def _analysis_files(self) -> FolderFiles | None:
        """Return where the analysis's own state is kept."""
        if runtime() != "deployment":
            return None
        project = RunSettings.from_config(self._context.run_config).project_id
        return analysis_files(Path(self._settings.state_dir), self._session, project, self._name)

    @cached_property
    def _question(self) -> Question:
        kind: Kind = "train" if self._kind == MessageType.TRAIN else "evaluate"
        prefix = "fitins" if kind == "train" else "evaluateins"
        arrays = f"{prefix}.parameters"
        aggregate = aggregate_in(self._message, arrays)
        # The masks cancel only where all hospitals got the same config and aggregate. What else
        # came could differ from one hospital to the next, and nobody would see it.
        if odd := self._message.content.keys() - {f"{prefix}.config", arrays}:
            raise refused(f"the message has other records: {', '.join(sorted(odd))}")
        return self._part.question(kind, self._said, aggregate)

    def _records(self, answer: bytes) -> dict[str, Any]:
        one = MetricRecord({"num_examples": 1})
        if self._kind == MessageType.TRAIN:
            words = to_record(encode(np.frombuffer(answer, np.uint8)))
            return records_of("fitres", metrics=ConfigRecord(), num_examples=one, parameters=words)
        loss, said = MetricRecord({"loss": 0.0}), ConfigRecord({SUMS: answer})
        return records_of("evaluateres", loss=loss, num_examples=one, metrics=said)


def aggregate_in(message: Message, name: str) -> Payload | None:
    """Return the aggregate that came with a message, in the record of that name.

    Raises
    ------
    PayloadError
        It is none; or it has its arrays in another order, in which an analysis would get them.
    """
    arrays = message.content.get(name)
    if not isinstance(arrays, ArrayRecord) or list(arrays) in ([], [EMPTY]):
        return None
    if list(arrays) != [str(place) for place in range(len(arrays))]:
        raise PayloadError("the arrays of what arrived are not in their order")
    return from_record(arrays)


class _ContextStore:
    """Keeps a session in Flower's context: in a simulation, which is one program."""

    def __init__(self, context: Context) -> None:
        self._state = context.state

    def locked(self) -> AbstractContextManager[None]:
        return nullcontext()

    def load(self) -> tuple[bytes, bytes] | None:
        record = self._state.get(_STATE)
        if not isinstance(record, ConfigRecord):
            return None
        return record["head"], record["answer"]  # type: ignore[return-value]

    def save(self, head: bytes, answer: bytes) -> None:
        self._state[_STATE] = ConfigRecord({"head": head, "answer": answer})
