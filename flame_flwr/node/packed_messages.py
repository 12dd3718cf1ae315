"""Messages that travel as one record: the node unpacks them before anything looks at them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from flame_flwr.errors import PayloadError
from flame_flwr.flower_node_state import NodeAnswer
from flame_flwr.transport.packing import pack, packed_as, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from flame_flwr.flower_node_state import NodeMessage

__all__ = ["unpacking"]


def unpacking(answer: Callable[[NodeMessage], NodeAnswer]) -> Callable[[NodeMessage], NodeAnswer]:
    """Have messages answered as if neither they nor their replies were ever packed.

    A server that packs a message can unpack the reply to it.
    """

    def unpacked(asked: NodeMessage) -> NodeAnswer:
        name = packed_as(asked.message)  # before: an unpacked message does not say it any more
        with suppress(PayloadError):  # the app meets the same error, and its answer says so
            asked = replace(asked, message=unpack(asked.message))
        answered = answer(asked)
        return answered._replace(reply=pack(answered.reply, name)) if name else answered

    return unpacked
