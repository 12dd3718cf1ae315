"""``self.flame``: what user code may ask of the framework.

The calls and signatures are those of FLAME's SDK (``flamesdk`` 0.6.0), so far as a STAR
analysis has them. What it cannot have raises an error that names the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from flame_flwr.data.fhir_table import fhir_to_csv
from flame_flwr.errors import DataError, ModelError, UnavailableError
from flame_flwr.identity import AGGREGATOR_ID, Identity
from flame_flwr.metrics import check_metrics
from flame_flwr.star.kept_data import KeptData
from flame_flwr.star.node_log import NodeLog
from flame_flwr.star.unavailable import unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.data.kept_values import KeptValues
    from flame_flwr.data.source import NodeData

__all__ = ["FlameHandle"]


class FlameHandle(KeptData):
    """The handle of one participant, ``self.flame`` in analyzers and aggregators.

    Parameters
    ----------
    identity : Identity
        Who this participant is.
    data : NodeData, optional
        The node's data; the aggregator has none.
    kept : KeptValues, optional
        Where the participant keeps data across analyses; without one, in this process.

    Examples
    --------
    >>> flame = FlameHandle(Identity("ward-a", ("ward-a", "ward-b")))
    >>> flame.get_participant_ids()
    ['ward-b', 'aggregator']
    >>> flame.set_progress(35.9)
    >>> flame.get_progress()
    35
    """

    def __init__(
        self,
        identity: Identity,
        data: NodeData | None = None,
        kept: KeptValues | None = None,
    ) -> None:
        super().__init__(identity, kept)
        self._data = data
        self._partners: list[str] | None = None
        self._progress = 0
        self._log = NodeLog(identity.id)
        self._metrics: dict[str, float] | None = None

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
        if self._partners is None:
            self._partners = self._identity.partners()
        return list(self._partners)  # user code may change what it gets

    def get_participants(self) -> list[dict[str, str]]:
        """Return every other participant as a dict that answers to both spellings in use.

        Returns
        -------
        list of dict
            With ``id`` and ``nodeId``, ``role`` and ``nodeType``.
        """
        participants = []
        for node in self.get_participant_ids():
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

        Raises
        ------
        ModelError
            `sep` or `end` is no text: several values were given, as :func:`print` takes them.
        """
        if not (isinstance(sep, str) and isinstance(end, str)):
            raise ModelError(
                "flame_log takes one text, not several values as print does: use an f-string, "
                'such as flame_log(f"found {number} patients"); sep and end are texts'
            )
        text = _text(msg, sep) + end
        if file is not None:
            file.write(text)
        self._log.write(
            text,
            log_type,
            suppress_head=suppress_head,
            append=append,
            hold_back=halt_submission,
        )
        # `flame_log("found", name)` is how `print` is called, and has just logged "found" alone.
        if isinstance(msg, str) and any(map(str.isalnum, sep)):
            self._log.write(
                "flame_log took its second text for a separator and did not show it: use an "
                'f-string, such as flame_log(f"{name} has arrived")',
                "warning",
                suppress_head=False,
                append=False,
                hold_back=False,
            )

    def set_progress(self, progress: float) -> None:
        """Report how far this participant is, in per cent: it only ever rises.

        Parameters
        ----------
        progress : int or float
            From 0 to 100; a float is truncated. Anything else, or less than before, is logged
            and ignored.
        """
        # User code runs for hours: a wrong number in its progress is logged, and ends nothing.
        valid = (
            isinstance(progress, int | float)
            and not isinstance(progress, bool)
            and 0 <= progress <= 100  # so that it is finite, too: NaN is not
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

    def report_metrics(self, metrics: Mapping[str, float] | None = None, /, **more: float) -> None:
        """Report numbers of this round, such as its loss, beside the result.

        They travel with the result to the server, which shows them per node in the round's line,
        ``history.csv``, ``run.json``, TensorBoard and the report. No aggregate is made of them.
        They are plain numbers that leave the node: no filter changes them, and a node with the
        disclosure rule ``Strict`` refuses them.

        Parameters
        ----------
        metrics : dict of str to number, optional
            By name; if a name is reported twice in a round, the last number counts.
        **more : number
            The same as keywords.

        Raises
        ------
        ModelError
            A name that cannot be or that is taken, a value that is no number, or a call outside
            ``analysis_method``.
        UnavailableError
            On the aggregator, which returns its numbers in its aggregate.
        """
        if self._identity.id == AGGREGATOR_ID:
            raise UnavailableError(
                "flame.report_metrics is for analyzers: the aggregator returns its numbers in the "
                "aggregate"
            )
        if self._metrics is None:
            raise ModelError(
                "flame.report_metrics is for analysis_method; evaluation_method returns its numbers"
            )
        self._metrics = check_metrics({**self._metrics, **(metrics or {}), **more})

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
        data = self._node_data("get_s3_data")
        try:
            return data.load("s3", s3_keys)
        except DataError as error:
            # Keys asked for in user code may be patients' ids: only the detail names them.
            raise DataError(
                "flame.get_s3_data: a key or file that was asked for cannot be had; the node's "
                "own log names it",
                detail=str(error),
            ) from error

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
        data = self._node_data("get_fhir_data")
        if not fhir_queries:
            raise DataError(
                "get_fhir_data needs a query, such as get_fhir_data('Patient?_count=100')"
            )
        return data.load("fhir", fhir_queries)

    def get_data_sources(self) -> list[dict[str, str]]:
        """Return the node's data sources as dicts with ``id``, ``name`` and ``type``."""
        return [] if self._data is None else self._data.describe()

    def get_data_client(self, data_id: str) -> Any:
        """Return an ``httpx.AsyncClient`` for requests of your own to one FHIR server of the node.

        It has the server's credentials and sends them nowhere else; ``get("Patient/1")`` is
        relative to the server's base. Close it, or use it in ``async with``. At a hospital the node
        makes the requests, and takes ``GET`` only, below the server's base.

        Parameters
        ----------
        data_id : str
            An ``id`` of :meth:`get_data_sources`.

        Raises
        ------
        UnavailableError
            That source is no FHIR server, or there is none of this id.
        """
        return self._node_data("get_data_client").client(data_id)

    fhir_to_csv = staticmethod(fhir_to_csv)

    # ---- the framework's own ------------------------------------------------------------

    def _node_data(self, call: str) -> NodeData:
        if self._data is None:
            raise UnavailableError(f"{call}: the aggregator has no data, only analyzers have")
        return self._data

    def __getattr__(self, name: str) -> Any:
        """Name the way for the calls of FLAME's SDK that a STAR analysis does not have."""
        call = unavailable(name)
        if call is not None:
            return call
        raise AttributeError(f"flame has no {name!r}")

    @property
    def _held_back(self) -> str:
        return self._log.held_back

    def _enter_round(self, number: int) -> None:
        self._log.enter_round(number)
        self._metrics = {}

    def _taken_metrics(self) -> dict[str, float]:
        """Return what was reported of the round that is over."""
        metrics, self._metrics = self._metrics or {}, None  # `None`: a later report is refused
        return metrics

    def _flush(self) -> None:
        self._log.flush()


def _text(msg: object, sep: str) -> str:
    if isinstance(msg, str):
        return msg
    if isinstance(msg, bytes | bytearray):
        return msg.decode("utf-8", errors="replace")
    if isinstance(msg, list | tuple) and all(isinstance(part, str) for part in msg):
        return sep.join(msg)
    return str(msg)
