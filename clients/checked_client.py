"""The client that Flower calls: messages are checked before anything reads them."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from flwr.app import ArrayRecord, ConfigRecord

from flame_flwr.clients.reply_gate import TO_GATE
from flame_flwr.clients.reply_origin import shares_tracebacks
from flame_flwr.errors import NodeFailedError
from flame_flwr.failure.failure import Failure
from flame_flwr.failure.hints import hint_relative
from flame_flwr.failure.notes import log_error
from flame_flwr.failure.scratch_folders import scratch_folder
from flame_flwr.failure.tracebacks import is_interrupt
from flame_flwr.flower import (
    EMPTY,
    NUMPY,
    Client,
    Code,
    EvaluateIns,
    EvaluateRes,
    FitIns,
    FitRes,
    GetPropertiesIns,
    GetPropertiesRes,
    Parameters,
    Scalar,
    Status,
    runtime,
)
from flame_flwr.log import show
from flame_flwr.payload import array_from_npy, npy_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from flwr.app import RecordDict

    from flame_flwr.clients.client import StarClient


__all__ = ["CheckedClient"]


class CheckedClient(Client):
    """Flower's ``Client`` around a :class:`StarClient`.

    Unlike Flower's own wrapper it never hands bytes to ``np.load``, which believes a header's
    sizes, and never lets an exception's text into a reply.
    """

    def __init__(self, client: StarClient) -> None:
        self.client = client

    def get_properties(self, ins: GetPropertiesIns) -> GetPropertiesRes:
        """Answer hello, or why the node cannot take part."""
        with self._guarded("hello") as failed:
            return GetPropertiesRes(_OK, self._with_study(self.client.get_properties(ins.config)))
        said = {"name": self.client.node_name(), "failure": failed[0]}
        partitions = self.client.context.node_config.get("num-partitions", 0)
        return GetPropertiesRes(_OK, {**said, "partitions": partitions})

    def fit(self, ins: FitIns) -> FitRes:
        """Answer a round, or why it failed."""
        with self._guarded(f"round {ins.config.get('round')!r}") as failed:
            arrays, examples, metrics = self.client.fit(_arrays(ins.parameters.tensors), ins.config)
            tensors = list(map(npy_bytes, arrays))
            return FitRes(_OK, Parameters(tensors, NUMPY), examples, self._with_study(metrics))
        return FitRes(_OK, Parameters([], NUMPY), 0, {"failure": failed[0]})

    def train(self, content: RecordDict) -> FitRes:
        """Answer a round as :meth:`fit` does, from the records that the server has sent.

        Flower's ways from records and back to them are most of what a small message takes.
        """
        config, record = content["fitins.config"], content["fitins.parameters"]
        if not isinstance(config, ConfigRecord) or not isinstance(record, ArrayRecord):
            raise NodeFailedError("the message asks for no round")
        tensors = [array.data for key, array in record.items() if key != EMPTY]
        told: dict[str, Any] = dict(config.items())
        return self.fit(FitIns(Parameters(tensors, NUMPY), told))

    def evaluate(self, ins: EvaluateIns) -> EvaluateRes:
        """Answer the evaluation, or why it failed."""
        with self._guarded("evaluation") as failed:
            arrays = _arrays(ins.parameters.tensors)
            loss, examples, metrics = self.client.evaluate(arrays, ins.config)
            return EvaluateRes(_OK, loss, examples, self._with_study(metrics))
        return EvaluateRes(_OK, 0.0, 0, {"failure": failed[0]})

    def _with_study(self, said: dict[str, Scalar]) -> dict[str, Scalar]:
        """Put beside an answer what the node's gate must know; it takes that away again."""
        return {**said, TO_GATE: self.client.study.to_bytes()}

    @contextmanager
    def _guarded(self, what: str) -> Iterator[list[bytes]]:
        """Run a block; where it fails, it ends there, and the list has the failure to answer."""
        show()
        failed: list[bytes] = []
        local = runtime() == "process"
        try:
            with nullcontext() if local else scratch_folder(self.client.context.run_id):
                yield failed
        except BaseException as error:
            if is_interrupt(error):  # Ctrl-C is for the program, and no failure of the analysis
                raise
            # Under Flower an app runs in a scratch folder, and not in the one it was written in.
            if isinstance(error, FileNotFoundError) and not local:
                hint_relative(error)
            log_error(error, "node %s failed in %s", self.client.node_name(), what)
            share = shares_tracebacks(self.client.context)
            failed.append(Failure.of(error, share=share).to_json())


_OK = Status(Code.OK, "Success")


def _arrays(tensors: Iterable[bytes]) -> list[np.ndarray]:
    return list(map(array_from_npy, tensors))
