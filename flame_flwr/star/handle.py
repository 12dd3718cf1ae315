"""``self.flame``: what user code may ask of the framework.

The calls and signatures are those of FLAME's SDK (``flamesdk`` 0.6.0), so far as a STAR
analysis has them. What it cannot have raises an error that names the way.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from flame_flwr.errors import UnavailableError
from flame_flwr.identity import AGGREGATOR_ID, Identity
from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.data.source import NodeData

__all__ = ["FlameHandle"]

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "normal": logging.INFO,
    "notice": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "alert": logging.ERROR,
    "error": logging.ERROR,
    "emerg": logging.CRITICAL,
    "emergency": logging.CRITICAL,
    "crit": logging.CRITICAL,
    "critical-error": logging.CRITICAL,
}

_INSTEAD = {
    **dict.fromkeys(
        (
            "send_message",
            "send_message_and_wait_for_responses",
            "send_intermediate_data",
        ),
        "return the value from analysis_method: the framework sends it to the aggregator",
    ),
    **dict.fromkeys(
        (
            "await_messages",
            "await_and_return_responses",
            "await_intermediate_data",
            "get_messages",
            "delete_messages",
            "clear_messages",
        ),
        "take what the framework hands over: aggregator_results in analysis_method, "
        "analysis_results in aggregation_method",
    ),
    "submit_final_result": "return the result from aggregation_method (or final_method): "
    "the framework writes it",
    "analysis_finished": "return True from has_converged: the framework ends the analysis",
    "ready_check": "nothing: the framework has waited for every participant before the first round",
}


class FlameHandle:
    """The handle of one participant, ``self.flame`` in analyzers and aggregators.

    Parameters
    ----------
    identity : Identity
        Who this participant is.
    data : NodeData, optional
        The node's data; the aggregator has none.
    """

    def __init__(self, identity: Identity, data: NodeData | None = None) -> None:
        self._identity = identity
        self._data = data
        self._progress = 0
        self._held_back = ""
        self._round = 0

    # ---- who and where -----------------------------------------------------------------

    def get_id(self) -> str:
        """Return this participant's id, the same in every round."""
        return self._identity.id

    def get_role(self) -> str:
        """Return ``'default'`` on an analyzer, ``'aggregator'`` on the aggregator."""
        return self._identity.role

    def get_analysis_id(self) -> str:
        """Return the id of this analysis (``analysis-id`` in the run config)."""
        return self._identity.analysis_id

    def get_project_id(self) -> str:
        """Return the id of the project (``project-id`` in the run config)."""
        return self._identity.project_id

    def get_aggregator_id(self) -> str:
        """Return the aggregator's id; the aggregator sees its own."""
        return AGGREGATOR_ID

    def get_participant_ids(self) -> list[str]:
        """Return the ids of every other participant, analyzers in order, then the aggregator."""
        return self._identity.partners()

    def get_participants(self) -> list[dict[str, str]]:
        """Return every other participant as a dict that answers to both spellings in use.

        Returns
        -------
        list of dict
            With ``id`` and ``nodeId``, ``role`` and ``nodeType``.
        """
        participants = []
        for node in self._identity.partners():
            role = "aggregator" if node == AGGREGATOR_ID else "default"
            participants.append({"id": node, "nodeId": node, "role": role, "nodeType": role})
        return participants

    # ---- log and progress --------------------------------------------------------------

    def flame_log(
        self,
        msg: object,
        sep: str = " ",
        end: str = "\n",
        file: TextIO | None = None,
        log_type: str = "normal",
        suppress_head: bool = False,
        append: bool = False,
        halt_submission: bool = False,
    ) -> None:
        r"""Log a line that carries node and round. The log stays on the node.

        Parameters
        ----------
        msg : object
            The text; bytes are decoded, a list or tuple of strings is joined with `sep`.
        sep, end : str
            As in :func:`print`. An `end` other than a line break is kept in the line.
        file : text file, optional
            Where the text goes besides the log.
        log_type : str
            debug, info, normal, notice, warn, warning, alert, emerg, emergency, error, crit or
            critical-error; anything else logs as info.
        suppress_head : bool
            Leave node and round out of the line.
        append : bool
            Put what ``halt_submission`` held back before this text.
        halt_submission : bool
            Hold the text back until a call with ``append=True``, or the end of the round.
        """
        text = _text(msg, sep) + end
        if file is not None:
            file.write(text)
        if halt_submission:
            self._flush()
            self._held_back = text
            return
        if append:
            text, self._held_back = self._held_back + text, ""
        else:
            self._flush()
        self._emit(_LEVELS.get(log_type, logging.INFO), text, suppress_head)

    def set_progress(self, progress: float) -> None:
        """Report how far this participant is, in per cent: it only ever rises.

        Parameters
        ----------
        progress : int or float
            From 0 to 100; a float is truncated. Anything else, or less than before, is logged
            and ignored.
        """
        valid = (
            isinstance(progress, int | float)
            and not isinstance(progress, bool)
            and math.isfinite(progress)
            and 0 <= progress <= 100
        )
        if not valid:
            self.flame_log(
                f"progress ignored: it is a number from 0 to 100, not {progress!r}",
                log_type="warning",
            )
        elif int(progress) < self._progress:
            self.flame_log(
                f"progress ignored: it only rises, from {self._progress}, not to {progress!r}",
                log_type="warning",
            )
        else:
            self._progress = int(progress)

    def get_progress(self) -> int:
        """Return the progress in per cent, 0 to 100."""
        return self._progress

    # ---- data --------------------------------------------------------------------------

    def get_s3_data(self, s3_keys: str | Sequence[str] | None = None) -> Any:
        """Return the node's files: ``[{key: bytes, ...}, ...]``, one dict per data source.

        Parameters
        ----------
        s3_keys : str or list of str, optional
            Exactly these keys; ``None`` or ``[]`` is every key.

        Raises
        ------
        DataError
            A key that a source does not have.
        UnavailableError
            On the aggregator, which has no data.
        """
        return self._node_data("get_s3_data").load("s3", s3_keys)

    def get_fhir_data(self, fhir_queries: str | Sequence[str] | None = None) -> Any:
        """Return the node's FHIR bundles: ``[{query: bundle, ...}, ...]``, a dict per source.

        Parameters
        ----------
        fhir_queries : str or list of str
            The searches, every one to every source.

        Raises
        ------
        DataError
            No query, or a source without such data.
        UnavailableError
            On the aggregator, which has no data.
        """
        return self._node_data("get_fhir_data").load("fhir", fhir_queries)

    def get_data_sources(self) -> list[dict[str, str]]:
        """Return the node's data sources as dicts with ``id``, ``name`` and ``type``."""
        return [] if self._data is None else self._data.describe()

    def get_data_client(self, data_id: str) -> NoReturn:
        """Raise: no source of this node has a client (only a FHIR server has one)."""
        raise UnavailableError(
            "get_data_client works for a FHIR server only, and this node has none: "
            "use the data that analysis_method receives",
            detail=f"asked for {data_id!r}",
        )

    def _node_data(self, call: str) -> NodeData:
        if self._data is None:
            raise UnavailableError(f"{call}: the aggregator has no data, only analyzers have")
        return self._data

    # ---- the framework's own ------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """Name the way for the calls of FLAME's SDK that a STAR analysis does not have."""
        if name in _INSTEAD:

            def unavailable(*args: object, **kwargs: object) -> NoReturn:
                raise UnavailableError(
                    f"flame.{name} is not available in a STAR analysis. Instead: {_INSTEAD[name]}."
                )

            return unavailable
        raise AttributeError(f"flame has no {name!r}")

    def _enter_round(self, number: int) -> None:
        self._flush()
        self._round = number

    def _flush(self) -> None:
        if self._held_back:
            text, self._held_back = self._held_back, ""
            self._emit(logging.INFO, text, suppress_head=False)

    def _emit(self, level: int, text: str, suppress_head: bool) -> None:
        if logger.isEnabledFor(level):
            head = "" if suppress_head else f"[{self._identity.id}, round {self._round}] "
            logger.log(level, "%s%s", head, text.removesuffix("\n"))


def _text(msg: object, sep: str) -> str:
    if isinstance(msg, str):
        return msg
    if isinstance(msg, bytes | bytearray):
        return msg.decode("utf-8", errors="replace")
    if isinstance(msg, list | tuple) and all(isinstance(part, str) for part in msg):
        return sep.join(msg)
    return str(msg)
