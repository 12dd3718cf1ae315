"""The client that Flower calls: messages are checked before anything reads them."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from flame_flwr.failure.failure import Failure
from flame_flwr.failure.hints import hint_relative
from flame_flwr.failure.notes import log_error
from flame_flwr.failure.scratch_folders import scratch_folder
from flame_flwr.flower import (
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
    Status,
    runtime,
)
from flame_flwr.log import show
from flame_flwr.payload import array_from_npy, npy_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from flwr.app import Context

    from flame_flwr.clients.client import StarClient


__all__ = ["CheckedClient", "shares_tracebacks"]


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
            return GetPropertiesRes(_OK, self.client.get_properties(ins.config))
        said = {"name": self.client.node_name(), "failure": failed[0]}
        partitions = self.client.context.node_config.get("num-partitions", 0)
        return GetPropertiesRes(_OK, {**said, "partitions": partitions})

    def fit(self, ins: FitIns) -> FitRes:
        """Answer a round, or why it failed."""
        with self._guarded(f"round {ins.config.get('round')!r}") as failed:
            arrays, examples, metrics = self.client.fit(_arrays(ins.parameters), ins.config)
            tensors = list(map(npy_bytes, arrays))
            return FitRes(_OK, Parameters(tensors, NUMPY), examples, metrics)
        return FitRes(_OK, Parameters([], NUMPY), 0, {"failure": failed[0]})

    def evaluate(self, ins: EvaluateIns) -> EvaluateRes:
        """Answer the evaluation, or why it failed."""
        with self._guarded("evaluation") as failed:
            loss, examples, metrics = self.client.evaluate(_arrays(ins.parameters), ins.config)
            return EvaluateRes(_OK, loss, examples, metrics)
        return EvaluateRes(_OK, 0.0, 0, {"failure": failed[0]})

    @contextmanager
    def _guarded(self, what: str) -> Iterator[list[bytes]]:
        """Run a block; where it fails, it ends there, and the list has the failure to answer."""
        show()
        failed: list[bytes] = []
        local = runtime() == "process"
        try:
            with nullcontext() if local else scratch_folder(self.client.context.run_id):
                yield failed
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if isinstance(error, FileNotFoundError) and not local:
                hint_relative(error)
            log_error(error, "node %s failed in %s", self.client.node_name(), what)
            share = shares_tracebacks(self.client.context)
            failed.append(Failure.of(error, share=share).to_json())


def shares_tracebacks(context: Context) -> bool:
    """Tell whether the text of an error may leave this node; by default in a simulation only."""
    share = context.node_config.get("share-tracebacks")
    return share if isinstance(share, bool) else runtime() != "deployment"


_OK = Status(Code.OK, "Success")


def _arrays(parameters: Parameters) -> list[np.ndarray]:
    return [array_from_npy(tensor) for tensor in parameters.tensors]
