"""The client that Flower calls: messages are checked before anything reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    from collections.abc import Callable

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
        properties, failure = self._guarded(lambda: self.client.get_properties(ins.config), "hello")
        if properties is None:
            partitions = self.client.context.node_config.get("num-partitions", 0)
            name = self.client.node_name()
            properties = {"failure": failure, "name": name, "partitions": partitions}
        return GetPropertiesRes(_OK, properties)

    def fit(self, ins: FitIns) -> FitRes:
        """Answer a round, or why it failed."""

        def answer() -> FitRes:
            arrays, examples, metrics = self.client.fit(_arrays(ins.parameters), ins.config)
            tensors = [npy_bytes(array) for array in arrays]
            return FitRes(_OK, Parameters(tensors, NUMPY), examples, metrics)

        result, failure = self._guarded(answer, f"round {ins.config.get('round')!r}")
        return result or FitRes(_OK, Parameters([], NUMPY), 0, {"failure": failure})

    def evaluate(self, ins: EvaluateIns) -> EvaluateRes:
        """Answer the evaluation, or why it failed."""

        def answer() -> EvaluateRes:
            loss, examples, metrics = self.client.evaluate(_arrays(ins.parameters), ins.config)
            return EvaluateRes(_OK, loss, examples, metrics)

        result, failure = self._guarded(answer, "evaluation")
        return result or EvaluateRes(_OK, 0.0, 0, {"failure": failure})

    def _guarded(self, answer: Callable[[], Any], what: str) -> tuple[Any, bytes]:
        show()
        try:
            if runtime() == "process":
                return answer(), b""
            with scratch_folder(self.client.context.run_id):
                return answer(), b""
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if isinstance(error, FileNotFoundError) and runtime() != "process":
                hint_relative(error)
            log_error(error, "node %s failed in %s", self.client.node_name(), what)
            return None, Failure.of(error, share=shares_tracebacks(self.client.context)).to_json()


def shares_tracebacks(context: Context) -> bool:
    """Tell whether the text of an error may leave this node; by default in a simulation only."""
    share = context.node_config.get("share-tracebacks")
    return share if isinstance(share, bool) else runtime() != "deployment"


_OK = Status(Code.OK, "Success")


def _arrays(parameters: Parameters) -> list[np.ndarray]:
    return [array_from_npy(tensor) for tensor in parameters.tensors]
