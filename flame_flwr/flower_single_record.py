"""Messages whose one record says all: of the objects that Flower makes of them, one travels.

Flower moves a message as a tree of objects, each pushed and pulled by a call of its own. Of one
with a single record, the message's own object says what its envelope does, which arrives with the
tree, and the record dict's says the record's name. So neither is pulled. They are not pushed
either: the SuperLink lets go of a message once its receiver has it, and would refuse them then.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flwr.app import Message

__all__ = ["SINGLE", "leaving_out_known", "single_record"]

SINGLE = "flame_flwr.single"
"""The name of the one record of messages between two ends that both know of this."""


def single_record(tree: Any) -> str | None:
    """Return the id of the one object of a message that travels; ``None`` where all of them do.

    Parameters
    ----------
    tree : object
        The ids of its objects. An id is the hash of what the object says, so that of a record dict
        tells the name of its record.
    """
    if len(tree.children) != 1 or len(tree.children[0].children) != 1:
        return None
    records = tree.children[0]
    record = records.children[0]
    # What Flower's `RecordDict.deflate` writes (1.41, 1.42). Where another Flower writes something
    # else, no hash is the same, and all objects are pulled as usual.
    names = json.dumps({SINGLE: record.object_id})
    content = f"RecordDict {record.object_id} {len(names)}\0{names}".encode()
    is_known = hashlib.sha256(content).hexdigest() == records.object_id
    return str(record.object_id) if is_known and not record.children else None


_MESSAGES: ContextVar[Sequence[Message]] = ContextVar("messages", default=())
"""What this thread pushes; another may push for another run meanwhile."""


@contextmanager
def leaving_out_known(messages: Sequence[Message]) -> Iterator[None]:
    """Within the block, have Flower's Grid push only the record of messages that have one."""
    _push_less()
    before = _MESSAGES.set(messages)
    try:
        yield
    finally:
        _MESSAGES.reset(before)


@cache
def _push_less() -> None:
    # `HttpGrid` gives no say in what it pushes, but calls this function by its module's name.
    module: Any = importlib.import_module("flwr.superlink.grid.http_grid")
    push_objects = module.push_objects

    def push(objects: dict[str, Any], *arguments: Any, **options: Any) -> None:
        for message in _MESSAGES.get():
            if message.has_content() and list(message.content) == [SINGLE]:
                objects.pop(message.object_id, None)  # other messages may be among the objects
                objects.pop(message.content.object_id, None)
        push_objects(objects, *arguments, **options)

    module.push_objects = push
